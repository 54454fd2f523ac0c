/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of connections share: a loop that is run until something is so, and a peer that pours. */

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/* One turn of the event loop. */
static inline void turn(sd_event *event)
{
    g_assert_cmpint(sd_event_run(event, 100000), >=, 0);
}

#define RUN_UNTIL(event, condition)                                                                          \
    do {                                                                                                     \
        int64_t start_ = g_get_monotonic_time();                                                             \
        while (!(condition)) {                                                                               \
            turn(event);                                                                                     \
            g_assert_cmpint(g_get_monotonic_time() - start_, <, 20 * G_USEC_PER_SEC);                        \
        }                                                                                                    \
    } while (0)

/* Says `before` and then `text` again and again, in a thread, until the limit or the end of the connection. */
typedef struct Flood {
    int fd;
    const char *before, *text;
    uint64_t limit, sent;
    volatile bool broken;
} Flood;

static inline void *pour(void *userdata)
{
    Flood *flood = userdata;
    size_t length = strlen(flood->text);
    GString *block = g_string_new(NULL);

    while (block->len < 65536)
        g_string_append(block, flood->text);
    (void) !write(flood->fd, flood->before, strlen(flood->before));
    while (flood->sent < flood->limit) {
        ssize_t n = send(flood->fd, block->str + flood->sent % length, block->len - flood->sent % length,
                MSG_NOSIGNAL);

        if (n < 0) {
            flood->broken = true;
            break;
        }
        flood->sent += (uint64_t) n;
    }
    g_string_free(block, TRUE);
    return NULL;
}
