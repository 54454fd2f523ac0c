/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared-screen.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cleanup.h"

struct SharedScreen {
    int fd;
    uint32_t offset, width, height, stride, format;
    uint32_t pixel; /* bytes */
    uint8_t *copy;
    size_t room; /* of the copy */
};

void shared_screen_free(SharedScreen *screen)
{
    if (!screen)
        return;
    close_fd(&screen->fd);
    g_free(screen->copy);
    g_free(screen);
}

/* Only memory has seals: to read anything else might never end. */
static int take_memory(SharedScreen *screen, int fd)
{
    screen->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (screen->fd < 0)
        return -errno;
    return fcntl(screen->fd, F_GET_SEALS) < 0 ? -EINVAL : 0;
}

int shared_screen_read(sd_bus_message *m, SharedScreen **ret)
{
    g_autoptr(SharedScreen) screen = g_new0(SharedScreen, 1);
    int fd, r = sd_bus_message_read(m, "huuuuu", &fd, &screen->offset, &screen->width, &screen->height, &screen->stride, &screen->format);
    screen->fd = -1;
    if (r >= 0)
        r = take_memory(screen, fd);
    if (r < 0)
        return r;
    screen->pixel = picture_format_bytes(screen->format);
    if (screen->pixel == 0 || screen->width == 0 || screen->height == 0 || screen->stride / screen->pixel < screen->width ||
        screen->stride > PICTURE_BYTES_MAX / screen->height)
        return -EINVAL;
    *ret = g_steal_pointer(&screen);
    return 0;
}

PictureRect shared_screen_whole(const SharedScreen *screen)
{
    return (PictureRect) {.width = screen->width, .height = screen->height};
}

int shared_screen_fetch(SharedScreen *screen, const PictureRect *rect, PictureSource *ret)
{
    if (rect->width == 0 || rect->height == 0 || rect->x >= screen->width || rect->width > screen->width - rect->x || rect->y >= screen->height ||
        rect->height > screen->height - rect->y)
        return -ERANGE;
    size_t size = (size_t) (rect->height - 1) * screen->stride + (size_t) rect->width * screen->pixel, got = 0;
    off_t from = (off_t) screen->offset + (off_t) rect->y * screen->stride + (off_t) rect->x * screen->pixel;
    if (size > screen->room) {
        g_free(screen->copy);
        screen->copy = g_malloc(size);
        screen->room = size;
    }
    while (got < size) {
        ssize_t n = pread(screen->fd, screen->copy + got, size - got, from + (off_t) got);
        if (n <= 0 && (n == 0 || errno != EINTR))
            return -EIO;
        got += n > 0 ? (size_t) n : 0;
    }
    *ret = (PictureSource) {.data = screen->copy, .size = size, .stride = screen->stride, .format = screen->format};
    return 0;
}
