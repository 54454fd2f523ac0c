/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Head: one screen, as spice-server's QXL device.
 *
 * Whoever knows what QEMU shows calls head_*(), from the loop; spice-server's worker thread takes what has changed whenever it has a use for it. So a
 * client that is slow sees fewer pictures, and none is kept for it. All that waits for the worker is asynchronous: it may be busy with a
 * client that does not read. */

#include <spice.h>
#include <systemd/sd-event.h>

#include "picture.h"

typedef struct Head Head;

/* What a client wants a screen to be, in pixels; 0: nothing is to be shown there. */
typedef void (*HeadWanted)(unsigned number, uint32_t width, uint32_t height, void *userdata);

/* Joins the server. `event` and `server` are borrowed. */
Head *head_new(sd_event *event, SpiceServer *server, unsigned number, HeadWanted wanted, void *userdata);
void head_free(Head *head);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Head, head_free)

/* Where the guest finds the card and the screen on it, for its agent: "pci/0000/01.0". */
void head_set_device(Head *head, const char *address, uint32_t output);

/* The whole of it, of this size. -EINVAL: there can be none like that. */
int head_scanout(Head *head, uint32_t width, uint32_t height, const PictureSource *source);
/* It has become as large as that, and what was drawn there stays. -EINVAL as above, or nothing is shown. */
int head_resize(Head *head, uint32_t width, uint32_t height);
/* A part. -ERANGE: it is not of what is shown, so that a whole one is needed; -EINVAL as above. */
int head_update(Head *head, const PictureRect *rect, const PictureSource *source);
/* Nothing is shown any more. */
void head_disable(Head *head);

/* `data`: width * height pixels a8r8g8b8, without gaps. */
int head_define_cursor(Head *head, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size);
void head_place_cursor(Head *head, int x, int y, bool visible);
