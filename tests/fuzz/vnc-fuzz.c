/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: what a QEMU's VNC server says to vmd-spice.
 *
 * The first byte says how long the pieces are that it comes in, and whether the greeting, which hardly any input would have right, is said before it. What handlers
 * are told is within what they may be told; what is answered is bounded; and the same bytes mean the same whatever the pieces. */

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "rfb.h"

#define GREETING "RFB 003.008\n\1\1\0\0\0\0"
#define CURSOR_MAX 512U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Seen {
    uint32_t width, height, sum;
} Seen;

static void must(bool holds)
{
    if (!holds)
        __builtin_trap();
}

/* All of it is there to be read. */
static void add(Seen *seen, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i += i + 64 < size ? 61 : 1)
        seen->sum = seen->sum * 31 + bytes[i];
}

static int on_scanout(unsigned number, uint32_t width, uint32_t height, const PictureSource *source, void *userdata)
{
    Seen *seen = userdata;
    must(number == 0 && width > 0 && height > 0 && picture_source_fits(source, width, height));
    seen->width = width;
    seen->height = height;
    seen->sum = seen->sum * 31 + width * height;
    return 1;
}

/* How many rows are told at once is not the same. */
static int on_update(unsigned number, const PictureRect *rect, const PictureSource *source, void *userdata)
{
    Seen *seen = userdata;
    must(number == 0 && rect->width > 0 && rect->height > 0 && rect->x + rect->width <= seen->width && rect->y + rect->height <= seen->height &&
        picture_source_fits(source, rect->width, rect->height) && source->stride == rect->width * 4);
    for (uint32_t row = 0; row < rect->height; row++)
        add(seen, (const uint8_t *) source->data + (size_t) row * source->stride, source->stride);
    return 1;
}

static int on_cursor(unsigned number, uint32_t width, uint32_t height, uint32_t hot_x, uint32_t hot_y, const void *data, size_t size, void *userdata)
{
    must(number == 0 && width > 0 && height > 0 && width <= CURSOR_MAX && height <= CURSOR_MAX && size == (size_t) width * height * 4);
    add(userdata, data, size);
    return 0;
}

static void on_place(unsigned number, int x, int y, bool visible, void *userdata)
{
    must(number == 0);
}

static void on_absolute(bool absolute, void *userdata)
{
    ((Seen *) userdata)->sum += 1 + absolute;
}

static void on_leds(uint32_t leds, void *userdata)
{
    must(leds <= 7);
    ((Seen *) userdata)->sum += leds;
}

/* Puts it there in pieces, and presses everything after each. */
static bool put(Rfb *rfb, const uint8_t *data, size_t size, size_t piece)
{
    while (size > 0) {
        size_t room;
        uint8_t *to = rfb_room(rfb, &room);
        must(room > 0);
        size_t n = MIN(MIN(size, room), piece);
        memcpy(to, data, n);
        data += n;
        size -= n;
        if (rfb_take(rfb, n) < 0)
            return false;
        rfb_key(rfb, 0x9c, size % 2);
        rfb_button(rfb, (uint32_t) (size % 7), size % 2);
        rfb_move_to(rfb, UINT32_MAX, 1);
        rfb_move_by(rfb, INT32_MIN, 7);
        rfb_resize(rfb, (uint32_t) size, 600);
        must(rfb_answers(rfb)->len <= 65536);
    }
    return true;
}

static bool listen_to(const uint8_t *data, size_t size, size_t piece, bool greet, Seen *seen)
{
    static const DisplayHandlers handlers = {.scanout = on_scanout, .update = on_update, .define_cursor = on_cursor, .place_cursor = on_place, .absolute = on_absolute, .leds = on_leds};
    g_autoptr(Rfb) rfb = rfb_new(&handlers, seen);
    if (greet)
        must(put(rfb, (const uint8_t *) GREETING, sizeof GREETING - 1, SIZE_MAX));
    return put(rfb, data, size, piece);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Seen whole = {0}, pieces = {0};
    if (size == 0)
        return 0;
    bool greet = data[0] & 0x80, good = listen_to(data + 1, size - 1, SIZE_MAX, greet, &whole);
    must(listen_to(data + 1, size - 1, 1 + (data[0] & 0x7f), greet, &pieces) == good);
    must(!good || memcmp(&whole, &pieces, sizeof whole) == 0);
    return 0;
}
