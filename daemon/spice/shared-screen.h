/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SharedScreen: the memory that a QEMU draws a screen to, from 9.2 on, which then tells where it has drawn and not what.
 *
 * It is read, never mapped: QEMU may shorten it at any time, of which who has it mapped would die. */

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "picture.h"

typedef struct SharedScreen SharedScreen;

/* Of QEMU's "huuuuu": descriptor, offset, width, height, stride, format. -EINVAL: there is no picture in that. */
int shared_screen_read(sd_bus_message *m, SharedScreen **ret);
void shared_screen_free(SharedScreen *screen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SharedScreen, shared_screen_free)

PictureRect shared_screen_whole(const SharedScreen *screen);

/* What is there now; valid until it is called again. -ERANGE: there is no such part of it; -EIO: QEMU has taken it away. */
int shared_screen_fetch(SharedScreen *screen, const PictureRect *rect, PictureSource *ret);
