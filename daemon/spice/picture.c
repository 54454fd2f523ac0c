/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picture.h"

#include <errno.h>
#include <pixman.h>
#include <string.h>

/* What is converted is converted by so many rows at once. */
#define CONVERT_ROWS 32U

/* How many of its rows and columns are looked at to see whether a part is soft, and from how much in red, green or blue on two pixels differ. */
#define SOFT_SAMPLES 24U
#define CONTRAST 60

struct Picture {
    uint32_t width, height;
    uint32_t columns, rows; /* of tiles */
    uint32_t *pixels;
    bool *changed; /* columns * rows */
    unsigned n_changed;
    uint32_t next_row; /* no tile above it has changed */
};

Picture *picture_new(uint32_t width, uint32_t height)
{
    if (width == 0 || height == 0 || width > PICTURE_BYTES_MAX / 4 || height > PICTURE_BYTES_MAX / 4 / width)
        return NULL;
    Picture *picture = g_new0(Picture, 1);
    picture->width = width;
    picture->height = height;
    picture->columns = (width + PICTURE_TILE_WIDTH - 1) / PICTURE_TILE_WIDTH;
    picture->rows = (height + PICTURE_TILE_HEIGHT - 1) / PICTURE_TILE_HEIGHT;
    picture->pixels = g_new0(uint32_t, (size_t) width * height);
    picture->changed = g_new0(bool, (size_t) picture->columns * picture->rows);
    picture_invalidate(picture);
    return picture;
}

Picture *picture_resized(const Picture *picture, uint32_t width, uint32_t height)
{
    Picture *ret = picture_new(width, height);
    for (uint32_t y = 0; ret && y < MIN(height, picture->height); y++)
        memcpy(ret->pixels + (size_t) y * width, picture->pixels + (size_t) y * picture->width, MIN(width, picture->width) * sizeof(uint32_t));
    return ret;
}

void picture_free(Picture *picture)
{
    if (!picture)
        return;
    g_free(picture->pixels);
    g_free(picture->changed);
    g_free(picture);
}

uint32_t picture_width(const Picture *picture)
{
    return picture->width;
}

uint32_t picture_height(const Picture *picture)
{
    return picture->height;
}

void picture_invalidate(Picture *picture)
{
    picture->n_changed = picture->columns * picture->rows;
    picture->next_row = 0;
    memset(picture->changed, true, picture->n_changed);
}

/* ---- what comes in ---- */

uint32_t picture_format_bytes(uint32_t format)
{
    static const pixman_format_code_t known[] = {PIXMAN_x8r8g8b8, PIXMAN_a8r8g8b8, PIXMAN_x8b8g8r8, PIXMAN_a8b8g8r8, PIXMAN_b8g8r8x8, PIXMAN_b8g8r8a8,
        PIXMAN_r8g8b8x8, PIXMAN_r8g8b8a8, PIXMAN_r8g8b8, PIXMAN_b8g8r8, PIXMAN_r5g6b5, PIXMAN_b5g6r5, PIXMAN_x1r5g5b5, PIXMAN_a1r5g5b5, PIXMAN_x1b5g5r5};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (format == known[i])
            return PIXMAN_FORMAT_BPP(known[i]) / 8;
    return 0;
}

bool picture_source_fits(const PictureSource *source, uint32_t width, uint32_t height)
{
    size_t bytes = picture_format_bytes(source->format), row;
    if (bytes == 0 || width == 0 || height == 0 || width > PICTURE_BYTES_MAX / 4 || height > PICTURE_BYTES_MAX / 4 / width)
        return false;
    row = width * bytes;
    /* The last row may end where its pixels do. */
    return source->stride >= row && source->stride <= PICTURE_BYTES_MAX && source->size >= row && (source->size - row) / source->stride >= height - 1;
}

static bool update_row(Picture *picture, uint32_t x, uint32_t y, uint32_t width, const uint8_t *source)
{
    uint32_t *row = picture->pixels + (size_t) y * picture->width;
    bool *changed = picture->changed + (size_t) (y / PICTURE_TILE_HEIGHT) * picture->columns, any = false;
    for (uint32_t at = x, end; at < x + width; at = end) {
        uint32_t tile = at / PICTURE_TILE_WIDTH;
        end = MIN((tile + 1) * PICTURE_TILE_WIDTH, x + width);
        const uint8_t *from = source + (size_t) (at - x) * 4;
        if (memcmp(row + at, from, (size_t) (end - at) * 4) == 0)
            continue;
        memcpy(row + at, from, (size_t) (end - at) * 4);
        picture->n_changed += !changed[tile];
        changed[tile] = any = true;
    }
    if (any)
        picture->next_row = MIN(picture->next_row, y / PICTURE_TILE_HEIGHT);
    return any;
}

static bool update_rows(Picture *picture, const PictureRect *rect, const uint8_t *source, uint32_t stride)
{
    bool any = false;
    for (uint32_t i = 0; i < rect->height; i++)
        any |= update_row(picture, rect->x, rect->y + i, rect->width, source + (size_t) i * stride);
    return any;
}

/* pixman wants rows that begin at a multiple of four. */
static bool update_converted(Picture *picture, const PictureRect *rect, const PictureSource *source)
{
    pixman_format_code_t format = (pixman_format_code_t) source->format;
    size_t row = rect->width * picture_format_bytes(source->format), aligned = (row + 3) & ~(size_t) 3;
    g_autofree uint8_t *copy = g_malloc0(aligned * CONVERT_ROWS);
    g_autofree uint32_t *converted = g_new0(uint32_t, (size_t) rect->width * CONVERT_ROWS);
    bool any = false;
    for (uint32_t at = 0; at < rect->height; at += CONVERT_ROWS) {
        uint32_t n = MIN(CONVERT_ROWS, rect->height - at);
        for (uint32_t i = 0; i < n; i++)
            memcpy(copy + i * aligned, (const uint8_t *) source->data + (size_t) (at + i) * source->stride, row);
        pixman_image_t *from = pixman_image_create_bits(format, (int) rect->width, (int) n, (uint32_t *) (void *) copy, (int) aligned);
        pixman_image_t *to = pixman_image_create_bits(PIXMAN_x8r8g8b8, (int) rect->width, (int) n, converted, (int) rect->width * 4);
        if (from && to)
            pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, (int) rect->width, (int) n);
        g_clear_pointer(&from, pixman_image_unref);
        g_clear_pointer(&to, pixman_image_unref);
        any |= update_rows(picture, &(PictureRect) {rect->x, rect->y + at, rect->width, n}, (const uint8_t *) converted, rect->width * 4);
    }
    return any;
}

int picture_update(Picture *picture, const PictureRect *rect, const PictureSource *source)
{
    if (rect->x > picture->width || rect->width > picture->width - rect->x || rect->y > picture->height || rect->height > picture->height - rect->y)
        return -ERANGE;
    if (!picture_source_fits(source, rect->width, rect->height))
        return -EINVAL;
    if (source->format == PIXMAN_x8r8g8b8 || source->format == PIXMAN_a8r8g8b8)
        return update_rows(picture, rect, source->data, source->stride);
    return update_converted(picture, rect, source);
}

static int difference(uint32_t a, uint32_t b, unsigned shift)
{
    return ABS((int) (a >> shift & 0xff) - (int) (b >> shift & 0xff));
}

bool picture_is_soft(const Picture *picture, const PictureRect *rect)
{
    unsigned n = 0, soft = 0;
    for (uint32_t i = 0; i < SOFT_SAMPLES && rect->width > 1; i++) {
        const uint32_t *row = picture->pixels + (size_t) (rect->y + (uint64_t) rect->height * i / SOFT_SAMPLES) * picture->width + rect->x;
        for (uint32_t j = 0; j < SOFT_SAMPLES; j++, n++) {
            const uint32_t *pixel = row + (uint64_t) (rect->width - 1) * j / SOFT_SAMPLES;
            int most = MAX(MAX(difference(pixel[0], pixel[1], 0), difference(pixel[0], pixel[1], 8)), difference(pixel[0], pixel[1], 16));
            soft += most > 0 && most < CONTRAST;
        }
    }
    return soft > n / 2;
}

/* ---- what goes out ---- */

static bool row_has_changed(const Picture *picture, uint32_t row, uint32_t column, uint32_t n)
{
    const bool *changed = picture->changed + (size_t) row * picture->columns + column;
    for (uint32_t i = 0; i < n; i++)
        if (!changed[i])
            return false;
    return true;
}

/* A rectangle of tiles that have all changed: as wide as it gets, then as high. What changes as a whole is told as a whole each time, by which
 * SPICE knows a video. */
bool picture_take(Picture *picture, PictureRect *ret)
{
    if (picture->n_changed == 0)
        return false;
    size_t first = (size_t) picture->next_row * picture->columns;
    while (!picture->changed[first])
        first++;
    uint32_t row = (uint32_t) (first / picture->columns), column = (uint32_t) (first % picture->columns), width = 1, height = 1;
    while (column + width < picture->columns && picture->changed[first + width])
        width++;
    while (row + height < picture->rows && row_has_changed(picture, row + height, column, width))
        height++;
    for (uint32_t i = 0; i < height; i++)
        memset(picture->changed + first + (size_t) i * picture->columns, false, width);
    picture->n_changed -= width * height;
    picture->next_row = row;
    *ret = (PictureRect) {.x = column * PICTURE_TILE_WIDTH, .y = row * PICTURE_TILE_HEIGHT};
    ret->width = MIN(width * PICTURE_TILE_WIDTH, picture->width - ret->x);
    ret->height = MIN(height * PICTURE_TILE_HEIGHT, picture->height - ret->y);
    return true;
}

void picture_copy(const Picture *picture, const PictureRect *rect, uint32_t *ret)
{
    for (uint32_t i = 0; i < rect->height; i++)
        memcpy(ret + (size_t) i * rect->width, picture->pixels + (size_t) (rect->y + i) * picture->width + rect->x, (size_t) rect->width * 4);
}
