/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* DisplaySource: what a QEMU shows and hears, whichever way that is learnt: by its D-Bus display (qemu-display.h) or as a VNC viewer (vnc-display.h).
 * QEMU's side of the bridge, which knows nothing of SPICE. What QEMU sends is checked there as to its form, and by whoever draws it as to its
 * sizes. Nothing of it waits for QEMU. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "picture.h"

/* All of them of the head `number`. Of those that return an int, a negative errno says that what came cannot be shown: all of it is asked for anew. */
typedef struct DisplayHandlers {
    int (*scanout)(unsigned number, uint32_t width, uint32_t height, const PictureSource *source, void *userdata);
    int (*resize)(unsigned number, uint32_t width, uint32_t height, void *userdata); /* what is there stays */
    int (*update)(unsigned number, const PictureRect *rect, const PictureSource *source, void *userdata);
    void (*disable)(unsigned number, void *userdata);
    int (*define_cursor)(unsigned number, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size, void *userdata);
    void (*place_cursor)(unsigned number, int x, int y, bool visible, void *userdata);
    void (*device)(unsigned number, const char *address, uint32_t output, void *userdata);
    void (*absolute)(bool absolute, void *userdata); /* whether the guest hears of places rather than of movements */
    void (*leds)(uint32_t leds, void *userdata);     /* scroll 1, num 2, caps 4 */
    void (*lost)(void *userdata);                    /* QEMU has left; may free it */
} DisplayHandlers;

typedef struct DisplaySource DisplaySource;

/* What it is told. It is lost where QEMU does not read. */
typedef struct DisplayVerbs {
    void (*free)(DisplaySource *source);
    /* `key`: QEMU's number of it, that of an XT keyboard with 0x80 for 0xe0. */
    void (*key)(DisplaySource *source, uint32_t key, bool down);
    /* QEMU's InputButton: left 0, middle 1, right 2, wheel up 3, wheel down 4, side 5, extra 6. */
    void (*button)(DisplaySource *source, unsigned number, uint32_t button, bool down);
    void (*move_to)(DisplaySource *source, unsigned number, uint32_t x, uint32_t y);
    void (*move_by)(DisplaySource *source, unsigned number, int dx, int dy);
    /* What a client wants a screen to be; 0: off. */
    void (*resize)(DisplaySource *source, unsigned number, uint32_t width, uint32_t height);
} DisplayVerbs;

/* The first of what each kind of it is. */
struct DisplaySource {
    const DisplayVerbs *verbs;
};

static inline void display_source_free(DisplaySource *source)
{
    if (source)
        source->verbs->free(source);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DisplaySource, display_source_free)

/* Over `fd`, which it takes. NULL: never. */
typedef DisplaySource *(*DisplaySourceNew)(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata);
