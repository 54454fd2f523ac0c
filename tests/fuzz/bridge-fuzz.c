/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: what vmd-spice is told by a QEMU and by a client.
 *
 * The first byte says which. Of a picture the rest are rectangles, each with a header of what it is said to be and pixels that may be fewer: what does
 * not fit is refused, and what is taken is told on once, inside of the picture. Of USB it is what both sides say, in pieces: whatever the pieces, the same
 * bytes are judged the same. */

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "picture.h"
#include "usb-stream.h"

#define WIDTH 200U
#define HEIGHT 70U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(Picture *picture)
{
    static uint32_t pixels[WIDTH * HEIGHT];
    static bool told[WIDTH * HEIGHT];
    PictureRect rect;
    memset(told, 0, sizeof told);
    while (picture_take(picture, &rect)) {
        if (rect.width == 0 || rect.height == 0 || rect.x + rect.width > WIDTH || rect.y + rect.height > HEIGHT)
            __builtin_trap();
        picture_copy(picture, &rect, pixels);
        for (uint32_t y = rect.y; y < rect.y + rect.height; y++)
            for (uint32_t x = rect.x; x < rect.x + rect.width; x++) {
                if (told[y * WIDTH + x])
                    __builtin_trap();
                told[y * WIDTH + x] = true;
            }
    }
}

typedef struct Header {
    PictureRect rect;
    uint32_t stride, format, bytes, drain;
} Header;

static void draw(const uint8_t *data, size_t size)
{
    static const uint32_t formats[] = {0x20020888, 0x20028888, 0x10020565, 0x18020888, 0x20030888, 0x10021555, 0x20080888};
    g_autoptr(Picture) picture = picture_new(WIDTH, HEIGHT);
    Header header;
    while (size > sizeof header) {
        memcpy(&header, data, sizeof header);
        data += sizeof header;
        size -= sizeof header;
        size_t n = MIN(header.bytes % 4096, size);
        /* Else hardly any would be one. */
        uint32_t format = header.format % 8 < G_N_ELEMENTS(formats) ? formats[header.format % 8] : header.format;
        g_autofree uint8_t *copy = g_malloc(MAX(n, 1)); /* of its own, for ASan to see its end */
        memcpy(copy, data, n);
        const PictureSource source = {copy, n, header.stride, format};
        if (picture_update(picture, &header.rect, &source) > 0 && header.drain % 2)
            drain(picture);
        data += n;
        size -= n;
    }
    drain(picture);
}

/* Pieces as long as their first byte, whose highest bit says who says it. */
static bool talk(const uint8_t *data, size_t size, size_t piece)
{
    UsbStream sides[2] = {0};
    while (size > 1) {
        size_t n = MIN((size_t) (*data & 0x7f), size - 1);
        unsigned side = *data >> 7;
        for (size_t at = 0; at < n; at += piece)
            if (!usb_stream_take(&sides[side], &sides[!side], data + 1 + at, MIN(piece, n - at)))
                return false;
        data += 1 + n;
        size -= 1 + n;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        draw(data + 1, size - 1);
    else if (talk(data + 1, size - 1, SIZE_MAX / 2) != talk(data + 1, size - 1, 1))
        __builtin_trap();
    return 0;
}
