/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Cleanup attributes for what GLib and systemd leave out. */

#include <errno.h>
#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/* Closes unless it is negative and makes it -1; errno survives. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        (void) close(*fd);
        errno = saved;
        *fd = -1;
    }
}
#define fd_cleanup __attribute__((cleanup(close_fd)))

static inline void fd_clear(void *fd)
{
    close_fd(fd);
}

/* Of int, which it owns. */
static inline GArray *fd_array_new(void)
{
    GArray *fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_set_clear_func(fds, fd_clear);
    return fds;
}

static inline int steal_fd(int *fd)
{
    int r = *fd;
    *fd = -1;
    return r;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus, sd_bus_flush_close_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_slot, sd_bus_slot_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event, sd_event_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event_source, sd_event_source_disable_unref)
