/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rfb: VNC's protocol (RFC 6143) as a viewer of QEMU's speaks it, with QEMU's own additions. Bytes come in, in whatever pieces, and handlers are told
 * what they mean; bytes to be sent come out. It reads and writes nothing itself. All that comes is hostile: what is not of the protocol ends it, and
 * it has no more memory than a picture of PICTURE_BYTES_MAX takes.
 *
 * QEMU since 6.0 has all of what is asked for here: pixels as they are, the cursor with its transparency, screens that viewers give a size, keys
 * by their numbers, a pointer that tells places or movements, and the keyboard's lights. */

#include "display-source.h"

typedef struct Rfb Rfb;

/* For the viewer of a connection on which nothing has been said. `lost` and `device` of the handlers are not called. */
Rfb *rfb_new(const DisplayHandlers *handlers, void *userdata);
void rfb_free(Rfb *rfb);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rfb, rfb_free)

/* Where what comes is to be put: always at least a byte. */
uint8_t *rfb_room(Rfb *rfb, size_t *ret_size);
/* So much has been put there. A negative errno: it is not what a server says, or a handler's; nothing but rfb_free() may follow. */
int rfb_take(Rfb *rfb, size_t size);

/* What is to be sent: the caller removes what has been. The next picture is asked for here, when the last one has been taken. */
GByteArray *rfb_answers(Rfb *rfb);

/* As DisplayVerbs has them, of the first head. What the server cannot be told, or has said that it does not take, is left out. */
void rfb_key(Rfb *rfb, uint32_t key, bool down);
void rfb_button(Rfb *rfb, uint32_t button, bool down);
void rfb_move_to(Rfb *rfb, uint32_t x, uint32_t y);
void rfb_move_by(Rfb *rfb, int dx, int dy);
void rfb_resize(Rfb *rfb, uint32_t width, uint32_t height);
