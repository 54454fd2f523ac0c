/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a QEMU says of its pictures: sizes, strides and formats that are odd, and such as cannot be. */
#include "picture.h"

#include <errno.h>
#include <pixman.h>

static uint32_t pixel(const Picture *picture, uint32_t x, uint32_t y)
{
    uint32_t ret;
    picture_copy(picture, &(PictureRect) {x, y, 1, 1}, &ret);
    return ret & 0xffffff;
}

static void has_a_largest_size(void)
{
    g_autoptr(Picture) largest = picture_new(4096, 4096), wide = picture_new(PICTURE_BYTES_MAX / 4, 1);
    g_assert_nonnull(largest);
    g_assert_nonnull(wide);
    g_assert_null(picture_new(4096, 4097));
    g_assert_null(picture_new(PICTURE_BYTES_MAX / 4 + 1, 1));
    g_assert_null(picture_new(UINT32_MAX, UINT32_MAX));
    g_assert_null(picture_new(0, 100));
    g_assert_null(picture_new(100, 0));
    const PictureSource source = {.data = "", .size = SIZE_MAX, .stride = 4 * 4096, .format = PIXMAN_x8r8g8b8};
    g_assert_true(picture_source_fits(&source, 4096, 4096));
    g_assert_false(picture_source_fits(&source, 4096, 4097));
}

static void refuses_what_is_not_there(void)
{
    static const uint8_t bytes[64];
    static const struct {
        size_t size;
        uint32_t stride, format, width, height;
        bool fits;
    } cases[] = {
        {64, 16, PIXMAN_x8r8g8b8, 4, 4, true},
        {63, 16, PIXMAN_x8r8g8b8, 4, 4, false},
        {60, 20, PIXMAN_x8r8g8b8, 4, 3, true},  /* a gap after each row */
        {56, 20, PIXMAN_x8r8g8b8, 4, 3, true},  /* but for the last one */
        {55, 20, PIXMAN_x8r8g8b8, 4, 3, false},
        {64, 15, PIXMAN_x8r8g8b8, 4, 1, false}, /* rows that are no rows */
        {64, 0, PIXMAN_x8r8g8b8, 4, 4, false},
        {64, UINT32_MAX, PIXMAN_x8r8g8b8, 4, 2, false},
        {64, UINT32_MAX, PIXMAN_x8r8g8b8, 1, 1, false},
        {9, 3, PIXMAN_r8g8b8, 1, 3, true},
        {64, 16, PIXMAN_a8, 4, 4, false}, /* formats that nobody knows */
        {64, 16, 0, 4, 4, false},
        {64, 16, UINT32_MAX, 4, 4, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const PictureSource source = {bytes, cases[i].size, cases[i].stride, cases[i].format};
        g_assert_cmpint(picture_source_fits(&source, cases[i].width, cases[i].height), ==, cases[i].fits);
    }
}

static void refuses_what_is_outside(void)
{
    static const uint32_t pixels[100];
    g_autoptr(Picture) picture = picture_new(10, 10);
    const PictureSource source = {pixels, sizeof pixels, 40, PIXMAN_x8r8g8b8};
    const PictureRect outside[] = {{0, 0, 11, 1}, {0, 0, 1, 11}, {10, 0, 1, 1}, {11, 0, 0, 0}, {UINT32_MAX, 0, 2, 1}, {1, UINT32_MAX, 1, 2}};
    for (size_t i = 0; i < G_N_ELEMENTS(outside); i++)
        g_assert_cmpint(picture_update(picture, &outside[i], &source), ==, -ERANGE);
    g_assert_cmpint(picture_update(picture, &(PictureRect) {0, 0, 10, 10}, &source), ==, 0); /* it was black */
}

static void converts_formats(void)
{
    static const struct {
        uint32_t format;
        uint8_t bytes[4];
        uint32_t is;
    } cases[] = {
        {PIXMAN_x8r8g8b8, {0x33, 0x22, 0x11, 0}, 0x112233},
        {PIXMAN_x8b8g8r8, {0x11, 0x22, 0x33, 0}, 0x112233},
        {PIXMAN_b8g8r8x8, {0, 0x11, 0x22, 0x33}, 0x112233},
        {PIXMAN_r8g8b8, {0x33, 0x22, 0x11, 0}, 0x112233},
        {PIXMAN_r5g6b5, {0x00, 0xf8, 0, 0}, 0xff0000},
        {PIXMAN_x1r5g5b5, {0x1f, 0x00, 0, 0}, 0x0000ff},
    };
    for (size_t i = 0; G_BYTE_ORDER == G_LITTLE_ENDIAN && i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(Picture) picture = picture_new(40, 10);
        const PictureSource source = {cases[i].bytes, picture_format_bytes(cases[i].format), 4, cases[i].format};
        g_assert_cmpint(picture_update(picture, &(PictureRect) {33, 7, 1, 1}, &source), ==, 1);
        g_assert_cmphex(pixel(picture, 33, 7), ==, cases[i].is);
        g_assert_cmphex(pixel(picture, 32, 7), ==, 0);
    }
}

/* Of what has not changed nothing is told, and of what has, its tile, once. */
static void tells_what_has_changed(void)
{
    static uint32_t pixels[64 * 16];
    g_autoptr(Picture) picture = picture_new(64, 16);
    PictureRect told;
    g_assert_true(picture_take(picture, &told)); /* all of a new one */
    g_assert_cmpuint(told.width * told.height, ==, 64 * 16);
    g_assert_false(picture_take(picture, &told));
    pixels[9 * 64 + 40] = 0xabcdef;
    const PictureSource source = {pixels, sizeof pixels, 64 * 4, PIXMAN_x8r8g8b8};
    g_assert_cmpint(picture_update(picture, &(PictureRect) {0, 0, 64, 16}, &source), ==, 1);
    g_assert_cmpint(picture_update(picture, &(PictureRect) {0, 0, 64, 16}, &source), ==, 0);
    g_assert_true(picture_take(picture, &told));
    g_assert_cmpuint(told.x, ==, 32);
    g_assert_cmpuint(told.y, ==, 8);
    g_assert_cmpuint(told.width, ==, PICTURE_TILE_WIDTH);
    g_assert_cmpuint(told.height, ==, PICTURE_TILE_HEIGHT);
    g_assert_false(picture_take(picture, &told));
}

static void becomes_another_size(void)
{
    static const uint32_t white[6] = {0xffffff, 0xffffff, 0xffffff, 0xffffff, 0xffffff, 0xffffff};
    static const PictureRect sizes[] = {{0, 0, 2, 3}, {0, 0, 5, 1}, {0, 0, 1, 9}, {0, 0, 100, 100}};
    g_autoptr(Picture) picture = picture_new(3, 2);
    g_assert_cmpint(picture_update(picture, &(PictureRect) {0, 0, 3, 2}, &(PictureSource) {white, sizeof white, 12, PIXMAN_x8r8g8b8}), ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(Picture) other = picture_resized(picture, sizes[i].width, sizes[i].height);
        PictureRect told;
        for (uint32_t y = 0; y < sizes[i].height; y++)
            for (uint32_t x = 0; x < sizes[i].width; x++)
                g_assert_cmphex(pixel(other, x, y), ==, x < 3 && y < 2 ? 0xffffff : 0);
        g_assert_true(picture_take(other, &told)); /* all of it */
        g_assert_cmpuint(told.width * told.height, ==, sizes[i].width * sizes[i].height);
    }
    g_assert_null(picture_resized(picture, PICTURE_BYTES_MAX, 1));
    g_assert_null(picture_resized(picture, 0, 1));
}

static bool is_soft(uint32_t first, uint32_t step)
{
    static uint32_t pixels[100 * 100];
    g_autoptr(Picture) picture = picture_new(100, 100);
    for (uint32_t i = 0; i < G_N_ELEMENTS(pixels); i++)
        pixels[i] = first + step * (i % 100);
    (void) picture_update(picture, &(PictureRect) {0, 0, 100, 100}, &(PictureSource) {pixels, sizeof pixels, 400, PIXMAN_x8r8g8b8});
    g_assert_false(picture_is_soft(picture, &(PictureRect) {99, 99, 1, 1}));
    return picture_is_soft(picture, &(PictureRect) {0, 0, 100, 100});
}

static void knows_what_is_soft(void)
{
    g_assert_true(is_soft(0x102030, 0x000001));
    g_assert_true(is_soft(0, 0x020202));
    g_assert_false(is_soft(0x102030, 0));        /* of one colour */
    g_assert_false(is_soft(0x102030, 0x808080)); /* stripes */
    g_assert_false(is_soft(0, 0x009e3779));      /* noise */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/picture/has-a-largest-size", has_a_largest_size);
    g_test_add_func("/picture/refuses-what-is-not-there", refuses_what_is_not_there);
    g_test_add_func("/picture/refuses-what-is-outside", refuses_what_is_outside);
    g_test_add_func("/picture/converts-formats", converts_formats);
    g_test_add_func("/picture/tells-what-has-changed", tells_what_has_changed);
    g_test_add_func("/picture/becomes-another-size", becomes_another_size);
    g_test_add_func("/picture/knows-what-is-soft", knows_what_is_soft);
    return g_test_run();
}
