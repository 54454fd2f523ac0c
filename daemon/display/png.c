/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "png.h"

#include <string.h>

#define BLOCK_MAX 65535U
#define ADLER_BASE 65521U
#define RGB 2 /* and 8 bits each */

static void add_u32(GByteArray *bytes, uint32_t value)
{
    value = GUINT32_TO_BE(value);
    g_byte_array_append(bytes, (const uint8_t *) &value, sizeof value);
}

static uint32_t crc_of(const uint8_t *data, size_t n)
{
    static uint32_t table[256];
    static size_t made;
    uint32_t crc = UINT32_MAX;
    if (g_once_init_enter(&made)) {
        for (uint32_t i = 0; i < G_N_ELEMENTS(table); i++) {
            table[i] = i;
            for (unsigned bit = 0; bit < 8; bit++)
                table[i] = table[i] & 1 ? 0xedb88320U ^ table[i] >> 1 : table[i] >> 1;
        }
        g_once_init_leave(&made, 1);
    }
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

static uint32_t adler_of(const uint8_t *data, size_t n)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < n; i++) {
        a = (a + data[i]) % ADLER_BASE;
        b = (b + a) % ADLER_BASE;
    }
    return b << 16 | a;
}

static void add_chunk(GByteArray *png, const char *type, const GByteArray *content)
{
    guint start = png->len + sizeof(uint32_t);
    add_u32(png, content->len);
    g_byte_array_append(png, (const uint8_t *) type, 4);
    g_byte_array_append(png, content->data, content->len);
    add_u32(png, crc_of(png->data + start, png->len - start));
}

/* Each line with the number of its filter before it: none. */
static GByteArray *lines_of(const uint8_t *pixels, uint32_t width, uint32_t height)
{
    GByteArray *lines = g_byte_array_sized_new(height * (1 + 3 * width));
    g_byte_array_set_size(lines, height * (1 + 3 * width));
    uint8_t *to = lines->data;
    for (uint32_t y = 0; y < height; y++) {
        *to++ = 0;
        for (uint32_t x = 0; x < width; x++, pixels += 4, to += 3) {
            to[0] = pixels[2];
            to[1] = pixels[1];
            to[2] = pixels[0];
        }
    }
    return lines;
}

/* zlib's format, with blocks that are stored as they are. */
static GByteArray *store(const GByteArray *lines)
{
    GByteArray *stored = g_byte_array_sized_new(lines->len + lines->len / BLOCK_MAX * 5 + 16);
    g_byte_array_append(stored, (const uint8_t[]){0x78, 0x01}, 2);
    for (guint at = 0; at < lines->len; at += BLOCK_MAX) {
        uint16_t n = (uint16_t) MIN(BLOCK_MAX, lines->len - at), inverse = (uint16_t) ~n;
        const uint8_t head[] = {at + n == lines->len, (uint8_t) n, (uint8_t) (n >> 8), (uint8_t) inverse, (uint8_t) (inverse >> 8)};
        g_byte_array_append(stored, head, sizeof head);
        g_byte_array_append(stored, lines->data + at, n);
    }
    add_u32(stored, adler_of(lines->data, lines->len));
    return stored;
}

GByteArray *png_new(const uint8_t *pixels, uint32_t width, uint32_t height)
{
    g_autoptr(GByteArray) lines = lines_of(pixels, width, height), stored = store(lines), head = g_byte_array_new(), end = g_byte_array_new();
    GByteArray *png = g_byte_array_sized_new(stored->len + 64);
    add_u32(head, width);
    add_u32(head, height);
    g_byte_array_append(head, (const uint8_t[]){8, RGB, 0, 0, 0}, 5);
    g_byte_array_append(png, (const uint8_t *) "\x89PNG\r\n\x1a\n", 8);
    add_chunk(png, "IHDR", head);
    add_chunk(png, "IDAT", stored);
    add_chunk(png, "IEND", end);
    return png;
}
