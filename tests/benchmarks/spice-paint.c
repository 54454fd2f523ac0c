/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* spice-paint: paints the guest's screen as tests/guest/modes.S does, by the driver of its card: at b a picture of other colours, at a one 60 times a
 * second until the next key, at n as often what looks like noise. */

#include <fcntl.h>
#include <linux/fb.h>
#include <linux/input.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define KEYBOARDS 8
#define FRAME_NSEC (1000000000LL / 60)
#define MSEC_NSEC 1000000LL

typedef struct Screen {
    int fd;
    uint32_t width, height, pitch; /* the last in bytes */
    uint32_t *pixels, paints;
} Screen;

static bool screen_open(Screen *screen)
{
    struct fb_var_screeninfo size;
    struct fb_fix_screeninfo memory;

    screen->fd = open("/dev/fb0", O_RDWR);
    if (screen->fd < 0 || ioctl(screen->fd, FBIOGET_VSCREENINFO, &size) < 0 || ioctl(screen->fd, FBIOGET_FSCREENINFO, &memory) < 0)
        return false;
    screen->width = size.xres;
    screen->height = size.yres;
    screen->pitch = memory.line_length;
    screen->pixels = calloc(size.yres, memory.line_length);
    return size.bits_per_pixel == 32 && screen->pixels;
}

static void paint(Screen *screen, bool noise)
{
    uint32_t first = ++screen->paints * 0x00975b35, step = noise ? 0x009e3779 : 1;

    for (uint32_t y = 0; y < screen->height; y++, first += 0x100) {
        uint32_t *row = screen->pixels + y * (screen->pitch / 4), colour = first;

        for (uint32_t x = 0; x < screen->width; x++, colour += step)
            row[x] = colour;
    }
    if (pwrite(screen->fd, screen->pixels, (size_t) screen->pitch * screen->height, 0) < 0)
        perror("GUEST CANNOT PAINT");
}

static int pressed(struct pollfd *keyboards)
{
    struct input_event event;

    for (int i = 0; i < KEYBOARDS; i++)
        while (keyboards[i].fd >= 0 && read(keyboards[i].fd, &event, sizeof(event)) == sizeof(event))
            if (event.type == EV_KEY && event.value == 1)
                return event.code;
    return 0;
}

static int64_t now_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * MSEC_NSEC + now.tv_nsec;
}

int main(void)
{
    Screen screen = {0};
    struct pollfd keyboards[KEYBOARDS];
    int64_t next = 0;
    int key = 0;

    if (!screen_open(&screen)) {
        perror("GUEST HAS NO SCREEN");
        return 1;
    }
    for (int i = 0; i < KEYBOARDS; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/dev/input/event%d", i);
        keyboards[i] = (struct pollfd) {.fd = open(path, O_RDONLY | O_NONBLOCK), .events = POLLIN};
    }
    printf("GUEST PAINTS %ux%u\n", screen.width, screen.height);
    fflush(stdout);
    for (;;) {
        bool moves = key == KEY_A || key == KEY_N;
        int64_t wait = next - now_nsec();

        if (poll(keyboards, KEYBOARDS, !moves ? -1 : wait > 0 ? (int) ((wait + MSEC_NSEC - 1) / MSEC_NSEC) : 0) > 0)
            key = pressed(keyboards) ?: key;
        if (key == KEY_B)
            paint(&screen, false);
        else if (moves && now_nsec() >= next)
            paint(&screen, key == KEY_N);
        else
            continue;
        if (key == KEY_B)
            key = 0;
        next = wait > -FRAME_NSEC ? next + FRAME_NSEC : now_nsec(); /* what was missed is not made up for */
    }
}
