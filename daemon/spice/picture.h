/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Picture: what a head shows, and which parts of it clients have not been told of. Knows nothing of QEMU and SPICE.
 *
 * QEMU tells of rectangles that the guest has drawn to, the same ones again and again perhaps. What is told on are the tiles of which a pixel
 * has changed. So however often QEMU tells and however slowly is taken, there is one picture and no queue. Pixels are x8r8g8b8, in the host's
 * byte order. Not locked. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#define PICTURE_TILE_WIDTH 32U
#define PICTURE_TILE_HEIGHT 8U

/* The largest that D-Bus can carry: 64 MiB. */
#define PICTURE_BYTES_MAX (64U << 20)

typedef struct Picture Picture;

typedef struct PictureRect {
    uint32_t x, y, width, height;
} PictureRect;

/* What somebody else has drawn, of whom nothing is believed. */
typedef struct PictureSource {
    const void *data;
    size_t size;
    uint32_t stride; /* bytes */
    uint32_t format; /* pixman_format_code_t */
} PictureSource;

/* Black, and all of it to be told. NULL: there can be none of that size. */
Picture *picture_new(uint32_t width, uint32_t height);
/* The same of another size: what is not in both of them is black or lost. */
Picture *picture_resized(const Picture *picture, uint32_t width, uint32_t height);
void picture_free(Picture *picture);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Picture, picture_free)

uint32_t picture_width(const Picture *picture);
uint32_t picture_height(const Picture *picture);

/* Bytes of a pixel; 0: it is not known. */
uint32_t picture_format_bytes(uint32_t format);

/* Whether a picture of this size can be made of `source`. */
bool picture_source_fits(const PictureSource *source, uint32_t width, uint32_t height);

/* 1: something has changed; 0: nothing; -ERANGE: it is not inside of the picture; -EINVAL: the source is not what it says. */
int picture_update(Picture *picture, const PictureRect *rect, const PictureSource *source);

/* Whether a part is soft, as films and photographs are: most of its pixels are other ones than their neighbours, and nearly the same. */
bool picture_is_soft(const Picture *picture, const PictureRect *rect);

/* All of it is to be told again. */
void picture_invalidate(Picture *picture);

/* The next part that is to be told, which counts as told then; false: there is none. */
bool picture_take(Picture *picture, PictureRect *ret);

/* Its pixels, without gaps, to `ret`, which has room for them. */
void picture_copy(const Picture *picture, const PictureRect *rect, uint32_t *ret);
