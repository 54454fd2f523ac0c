/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuDisplay: what a QEMU shows and hears, by its -display dbus,p2p=yes (QEMU's docs/interop/dbus-display). The D-Bus side of the bridge; knows
 * nothing of SPICE.
 *
 * QEMU sends what it draws without ever waiting for whoever looks, so whoever looks must never stop reading. And it waits itself, with its whole main
 * loop, while a listener says hello: nothing is done between the call and the hello. What it sends is checked here as to its form, and by
 * whoever draws it as to its sizes. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "picture.h"

typedef struct QemuDisplay QemuDisplay;

/* All of them of the head `number`. Of those that return an int, a negative errno says that what came cannot be shown: all of it is asked for anew. */
typedef struct QemuDisplayHandlers {
    int (*scanout)(unsigned number, uint32_t width, uint32_t height, const PictureSource *source, void *userdata);
    int (*update)(unsigned number, const PictureRect *rect, const PictureSource *source, void *userdata);
    void (*disable)(unsigned number, void *userdata);
    int (*define_cursor)(unsigned number, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size, void *userdata);
    void (*place_cursor)(unsigned number, int x, int y, bool visible, void *userdata);
    void (*device)(unsigned number, const char *address, uint32_t output, void *userdata);
    void (*absolute)(bool absolute, void *userdata); /* whether the guest hears of places rather than of movements */
    void (*leds)(uint32_t leds, void *userdata);     /* scroll 1, num 2, caps 4 */
    void (*lost)(void *userdata);                    /* QEMU has left; may free it */
} QemuDisplayHandlers;

/* Over `fd`, which it takes; both ends are authenticated later. NULL: never. */
QemuDisplay *qemu_display_new(sd_event *event, int fd, unsigned heads, const QemuDisplayHandlers *handlers, void *userdata);
void qemu_display_free(QemuDisplay *display);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDisplay, qemu_display_free)

/* `key`: QEMU's number of it, that of an XT keyboard with 0x80 for 0xe0. */
void qemu_display_key(QemuDisplay *display, uint32_t key, bool down);
/* QEMU's InputButton: left 0, middle 1, right 2, wheel up 3, wheel down 4, side 5, extra 6. */
void qemu_display_button(QemuDisplay *display, unsigned number, uint32_t button, bool down);
void qemu_display_move_to(QemuDisplay *display, unsigned number, uint32_t x, uint32_t y);
void qemu_display_move_by(QemuDisplay *display, unsigned number, int dx, int dy);

/* What a client wants a screen to be; 0: off. */
void qemu_display_resize(QemuDisplay *display, unsigned number, uint32_t width, uint32_t height);
