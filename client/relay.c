/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE (64 * 1024)

typedef struct Flow {
    size_t begin, end;
    bool eof; /* nothing more comes */
    char buffer[BUFFER_SIZE];
} Flow;

struct Relay {
    RelayEnd ends[2];
    sd_event_source *readable[2], *writable[2];
    Flow flows[2]; /* from ends[i] to the other */
    RelayEnded ended;
    void *userdata;
};

void relay_free(Relay *relay)
{
    if (!relay)
        return;
    for (size_t i = 0; i < 2; i++) {
        sd_event_source_disable_unref(relay->readable[i]);
        sd_event_source_disable_unref(relay->writable[i]);
        close_fd(&relay->ends[i].in);
        close_fd(&relay->ends[i].out);
    }
    g_free(relay);
}

/* What was said before a connection broke is said to the other end, too. */
static void take(Flow *flow, int from)
{
    while (!flow->eof && flow->end < BUFFER_SIZE) {
        ssize_t n = read(from, flow->buffer + flow->end, BUFFER_SIZE - flow->end);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        flow->eof = n <= 0;
        flow->end += n > 0 ? (size_t) n : 0;
    }
}

/* False: there is nobody to give it to. */
static bool give(Flow *flow, int to)
{
    while (flow->begin < flow->end) {
        ssize_t n = write(to, flow->buffer + flow->begin, flow->end - flow->begin);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        flow->begin += (size_t) n;
    }
    flow->begin = flow->end = 0;
    return true;
}

/* False: one end has said its last, or is broken; *ret_side. */
static bool move(Relay *relay, RelaySide *ret_side)
{
    for (RelaySide i = RELAY_LEFT; i <= RELAY_RIGHT; i++) {
        RelaySide other = i == RELAY_LEFT ? RELAY_RIGHT : RELAY_LEFT;
        Flow *flow = &relay->flows[i];
        take(flow, relay->ends[i].in);
        *ret_side = other;
        if (!give(flow, relay->ends[other].out))
            return false;
        *ret_side = i;
        if (flow->eof && flow->end == 0)
            return false;
    }
    return true;
}

/* What is neither read from nor written to now is not waited for: its end would be told for ever. */
static void wait_for_more(Relay *relay)
{
    for (size_t i = 0; i < 2; i++) {
        const Flow *in = &relay->flows[i], *out = &relay->flows[1 - i];
        (void) sd_event_source_set_enabled(relay->readable[i], !in->eof && in->end < BUFFER_SIZE ? SD_EVENT_ON : SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(relay->writable[i], out->begin < out->end ? SD_EVENT_ON : SD_EVENT_OFF);
    }
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Relay *relay = userdata;
    RelaySide side;
    if (move(relay, &side))
        wait_for_more(relay);
    else
        relay->ended(side, relay->userdata);
    return 0;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int watch(Relay *relay, sd_event *event, size_t i)
{
    RelayEnd *end = &relay->ends[i];
    /* One descriptor is waited for once only. */
    if (end->out == end->in)
        end->out = fcntl(end->in, F_DUPFD_CLOEXEC, 3);
    if (end->out < 0)
        return -errno;
    int r = set_nonblocking(end->in);
    if (r >= 0)
        r = set_nonblocking(end->out);
    if (r >= 0)
        r = sd_event_add_io(event, &relay->readable[i], end->in, EPOLLIN, on_ready, relay);
    if (r >= 0)
        r = sd_event_add_io(event, &relay->writable[i], end->out, EPOLLOUT, on_ready, relay);
    return r < 0 ? r : sd_event_source_set_enabled(relay->writable[i], SD_EVENT_OFF);
}

int relay_new(sd_event *event, const RelayEnd ends[2], RelayEnded ended, void *userdata, Relay **ret)
{
    Relay *relay = g_new0(Relay, 1);
    int r = 0;
    for (size_t i = 0; i < 2; i++)
        relay->ends[i] = ends[i];
    relay->ended = ended;
    relay->userdata = userdata;
    for (size_t i = 0; r >= 0 && i < 2; i++)
        r = watch(relay, event, i);
    if (r < 0) {
        for (size_t i = 0; i < 2; i++)
            if (relay->ends[i].out == relay->ends[i].in)
                relay->ends[i].out = -1;
        relay_free(relay);
        return r;
    }
    *ret = relay;
    return 0;
}
