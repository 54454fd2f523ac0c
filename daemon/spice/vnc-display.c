/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vnc-display.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "rfb.h"

/* A QEMU that ends each connection at once is not asked for the next without pause. */
#define LOST_USEC UINT64_C(200000)

typedef struct VncDisplay {
    DisplaySource source;
    sd_event *event;
    sd_event_source *io, *lost;
    int fd;
    Rfb *rfb;
    DisplayHandlers handlers;
    void *userdata;
} VncDisplay;

static int on_lost(sd_event_source *source, uint64_t usec, void *userdata)
{
    VncDisplay *display = userdata;
    display->handlers.lost(display->userdata);
    return 0;
}

static void leave(VncDisplay *display)
{
    display->io = sd_event_source_disable_unref(display->io);
    close_fd(&display->fd);
    if (!display->lost)
        (void) sd_event_add_time_relative(display->event, &display->lost, CLOCK_MONOTONIC, LOST_USEC, 1, on_lost, display);
}

/* As much as QEMU takes now. */
static void flush(VncDisplay *display)
{
    GByteArray *answers = rfb_answers(display->rfb);
    if (display->fd < 0 || answers->len == 0)
        return;
    ssize_t n = send(display->fd, answers->data, answers->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        return leave(display);
    if (n > 0)
        g_byte_array_remove_range(answers, 0, (guint) n);
    (void) sd_event_source_set_io_events(display->io, EPOLLIN | (rfb_answers(display->rfb)->len > 0 ? EPOLLOUT : 0));
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    VncDisplay *display = userdata;
    size_t size;
    uint8_t *room = rfb_room(display->rfb, &size);
    ssize_t n = recv(fd, room, size, MSG_DONTWAIT);
    int r = n > 0 ? rfb_take(display->rfb, (size_t) n) : n == 0 ? -ECONNRESET : errno == EAGAIN ? 0 : -errno;
    if (r == -EBADMSG || r == -EACCES)
        g_warning("QEMU's VNC server says what is not understood here");
    if (r < 0)
        leave(display);
    else
        flush(display);
    return 0;
}

/* ---- what it hears ---- */

static VncDisplay *of_source(DisplaySource *source)
{
    return (VncDisplay *) source;
}

static void key(DisplaySource *source, uint32_t number, bool down)
{
    rfb_key(of_source(source)->rfb, number, down);
    flush(of_source(source));
}

static void button(DisplaySource *source, unsigned number, uint32_t which, bool down)
{
    rfb_button(of_source(source)->rfb, which, down);
    flush(of_source(source));
}

static void move_to(DisplaySource *source, unsigned number, uint32_t x, uint32_t y)
{
    rfb_move_to(of_source(source)->rfb, x, y);
    flush(of_source(source));
}

static void move_by(DisplaySource *source, unsigned number, int dx, int dy)
{
    rfb_move_by(of_source(source)->rfb, dx, dy);
    flush(of_source(source));
}

static void resize(DisplaySource *source, unsigned number, uint32_t width, uint32_t height)
{
    rfb_resize(of_source(source)->rfb, width, height);
    flush(of_source(source));
}

/* ---- its life ---- */

static void vnc_display_free(DisplaySource *source)
{
    VncDisplay *display = of_source(source);
    sd_event_source_disable_unref(display->io);
    sd_event_source_disable_unref(display->lost);
    close_fd(&display->fd);
    rfb_free(display->rfb);
    g_free(display);
}

DisplaySource *vnc_display_new(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata)
{
    static const DisplayVerbs verbs = {
        .free = vnc_display_free,
        .key = key,
        .button = button,
        .move_to = move_to,
        .move_by = move_by,
        .resize = resize,
    };
    VncDisplay *display = g_new0(VncDisplay, 1);
    g_autoptr(DisplaySource) source = &display->source;
    source->verbs = &verbs;
    display->event = event;
    display->fd = fd;
    display->handlers = *handlers;
    display->userdata = userdata;
    display->rfb = rfb_new(handlers, userdata);
    return sd_event_add_io(event, &display->io, fd, EPOLLIN, on_io, display) >= 0 ? g_steal_pointer(&source) : NULL;
}
