/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* cursor COLOUR X Y: gives the guest's first screen a cursor of one colour (aarrggbb) whose hot spot is there, for as long as it is there. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIDE 64U

/* What Linux takes, as <drm/drm_mode.h> has it, which comes with no C library. */
typedef struct Resources {
    uint64_t fbs, crtcs, connectors, encoders;
    uint32_t n_fbs, n_crtcs, n_connectors, n_encoders, limits[4];
} Resources;
typedef struct Buffer {
    uint32_t height, width, bpp, flags, handle, pitch;
    uint64_t size;
} Buffer;
typedef struct Map {
    uint32_t handle, pad;
    uint64_t offset;
} Map;
typedef struct Cursor {
    uint32_t flags, crtc;
    int32_t x, y;
    uint32_t width, height, handle;
    int32_t hot_x, hot_y;
} Cursor;
#define GET_RESOURCES _IOWR('d', 0xa0, Resources)
#define CREATE_BUFFER _IOWR('d', 0xb2, Buffer)
#define MAP_BUFFER _IOWR('d', 0xb3, Map)
#define SET_CURSOR _IOWR('d', 0xbb, Cursor)
#define CURSOR_SHAPE 1U

int main(int argc, char **argv)
{
    uint32_t crtcs[16], *pixels;
    Resources resources = {.crtcs = (uintptr_t) crtcs, .n_crtcs = 16};
    Buffer buffer = {.width = SIDE, .height = SIDE, .bpp = 32};
    int card = open("/dev/dri/card0", O_RDWR);

    if (argc != 4 || card < 0)
        return 2;
    if (ioctl(card, GET_RESOURCES, &resources) < 0 || ioctl(card, CREATE_BUFFER, &buffer) < 0)
        return 1;
    Map map = {.handle = buffer.handle};
    if (ioctl(card, MAP_BUFFER, &map) < 0)
        return 1;
    pixels = mmap(NULL, buffer.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t) map.offset);
    if (pixels == MAP_FAILED)
        return 1;
    for (unsigned i = 0; i < SIDE * SIDE; i++)
        pixels[i] = (uint32_t) strtoul(argv[1], NULL, 16);
    Cursor cursor = {.flags = CURSOR_SHAPE, .crtc = crtcs[0], .width = SIDE, .height = SIDE, .handle = buffer.handle, .hot_x = atoi(argv[2]), .hot_y = atoi(argv[3])};
    if (ioctl(card, SET_CURSOR, &cursor) < 0) {
        printf("GUEST HAS NO CURSOR: %m\n");
        return 1;
    }
    pause();
    return 0;
}
