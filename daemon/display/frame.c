/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "png.h"

#define VERSION "RFB 003.008\n"
#define ANSWER_SECONDS 10
#define ALL_SECONDS 20
/* No screen that QEMU has is larger; and what it says beside pictures. */
#define SIDE_MAX 16384U
#define PIXELS_MAX (UINT32_C(8192) * 8192)
#define TEXT_MAX (UINT32_C(1) << 20)
#define MESSAGES_MAX 64U

/* RFC 6143's numbers. */
enum { AUTH_NONE = 1, SERVER_UPDATE = 0, SERVER_BELL = 2, SERVER_TEXT = 3 };

/* Who dribbles is not waited for either. */
typedef struct Server {
    int fd;
    gint64 until;
} Server;

static bool take(const Server *server, void *buffer, size_t n)
{
    for (uint8_t *to = buffer; n > 0;) {
        ssize_t r = g_get_monotonic_time() < server->until ? recv(server->fd, to, n, 0) : (errno = ETIMEDOUT, -1);
        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0)
            errno = ECONNRESET;
        if (r <= 0)
            return false;
        to += r;
        n -= (size_t) r;
    }
    return true;
}

static bool skip(const Server *server, uint32_t n)
{
    uint8_t buffer[4096];
    if (n > TEXT_MAX) {
        errno = EBADMSG;
        return false;
    }
    for (; n > 0; n -= MIN(n, sizeof buffer))
        if (!take(server, buffer, MIN(n, sizeof buffer)))
            return false;
    return true;
}

static bool give(const Server *server, const void *data, size_t n)
{
    return send(server->fd, data, n, MSG_NOSIGNAL) == (ssize_t) n;
}

static bool nonsense(void)
{
    errno = EBADMSG;
    return false;
}

static uint32_t get_u16(const uint8_t *from)
{
    return (uint32_t) from[0] << 8 | from[1];
}

static uint32_t get_u32(const uint8_t *from)
{
    return get_u16(from) << 16 | get_u16(from + 2);
}

/* Up to where the server has said how large the screen is. */
static bool greet(const Server *server, uint32_t *ret_width, uint32_t *ret_height)
{
    char version[sizeof VERSION - 1];
    uint8_t n, kinds[255], result[4], init[24];
    if (!take(server, version, sizeof version) || !give(server, VERSION, sizeof version) || !take(server, &n, 1) || !take(server, kinds, n))
        return false;
    if (!memchr(kinds, AUTH_NONE, n))
        return nonsense();
    /* The one who is let in, and one who does not put out the others. */
    if (!give(server, (const uint8_t[]){AUTH_NONE}, 1) || !take(server, result, sizeof result))
        return false;
    if (get_u32(result) != 0)
        return nonsense();
    if (!give(server, (const uint8_t[]){1}, 1) || !take(server, init, sizeof init) || !skip(server, get_u32(init + 20)))
        return false;
    *ret_width = get_u16(init);
    *ret_height = get_u16(init + 2);
    return (*ret_width > 0 && *ret_height > 0 && *ret_width <= SIDE_MAX && *ret_height <= SIDE_MAX && *ret_width * *ret_height <= PIXELS_MAX) || nonsense();
}

/* All of it once, in 32 bits for each pixel and as it is. */
static bool ask(const Server *server, uint32_t width, uint32_t height)
{
    const uint8_t format[] = {0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0}, encodings[] = {2, 0, 0, 1, 0, 0, 0, 0};
    const uint8_t update[] = {3, 0, 0, 0, 0, 0, (uint8_t) (width >> 8), (uint8_t) width, (uint8_t) (height >> 8), (uint8_t) height};
    return give(server, format, sizeof format) && give(server, encodings, sizeof encodings) && give(server, update, sizeof update);
}

static bool take_rectangle(const Server *server, uint8_t *pixels, uint32_t width, uint32_t height)
{
    uint8_t head[12];
    if (!take(server, head, sizeof head))
        return false;
    uint32_t x = get_u16(head), y = get_u16(head + 2), columns = get_u16(head + 4), lines = get_u16(head + 6);
    if (get_u32(head + 8) != 0 || x + columns > width || y + lines > height)
        return nonsense();
    for (uint32_t line = y; line < y + lines; line++)
        if (!take(server, pixels + 4 * ((size_t) line * width + x), 4 * (size_t) columns))
            return false;
    return true;
}

static bool take_update(const Server *server, uint8_t *pixels, uint32_t width, uint32_t height)
{
    for (unsigned i = 0; i < MESSAGES_MAX; i++) {
        uint8_t type, head[7];
        if (!take(server, &type, 1))
            return false;
        if (type == SERVER_BELL)
            continue;
        if (type == SERVER_TEXT) {
            if (!take(server, head, 7) || !skip(server, get_u32(head + 3)))
                return false;
            continue;
        }
        if (type != SERVER_UPDATE || !take(server, head, 3))
            return type == SERVER_UPDATE ? false : nonsense();
        for (uint32_t n = get_u16(head + 1); n > 0; n--)
            if (!take_rectangle(server, pixels, width, height))
                return false;
        return true;
    }
    return nonsense();
}

GByteArray *frame_fetch(int peer, const char *thing, Error **ret_error)
{
    const struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    const Server to = {.fd = peer, .until = g_get_monotonic_time() + ALL_SECONDS * G_USEC_PER_SEC}, *server = &to;
    uint32_t width = 0, height = 0;
    g_autofree uint8_t *pixels = NULL;
    bool good = setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 && setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        greet(server, &width, &height) && ask(server, width, height);
    if (good) {
        pixels = g_malloc0_n((size_t) width * height, 4);
        good = take_update(server, pixels, width, height);
    }
    if (good)
        return png_new(pixels, width, height);
    error_set_errno(ret_error, errno == EAGAIN ? ETIMEDOUT : errno, thing, "its screen cannot be read");
    return NULL;
}
