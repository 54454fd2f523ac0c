/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core.h"

#include <glib.h>
#include <sys/epoll.h>

/* spice-server's callbacks have no word about whose they are. */
static sd_event *loop;

struct SpiceTimer {
    sd_event_source *source;
    SpiceTimerFunc func;
    void *opaque;
};

struct SpiceWatch {
    sd_event_source *source;
    int mask;
    SpiceWatchFunc func;
    void *opaque;
};

/* What it cannot have it takes for granted. */
static void must(int r, const char *what)
{
    if (r < 0)
        g_error("%s: %s", what, g_strerror(-r));
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    SpiceTimer *timer = userdata;
    timer->func(timer->opaque);
    return 0;
}

static SpiceTimer *timer_add(SpiceTimerFunc func, void *opaque)
{
    SpiceTimer *timer = g_new0(SpiceTimer, 1);
    timer->func = func;
    timer->opaque = opaque;
    must(sd_event_add_time(loop, &timer->source, CLOCK_MONOTONIC, UINT64_MAX, 0, on_time, timer), "a timer cannot be made");
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF), "a timer cannot be stopped");
    return timer;
}

static void timer_start(SpiceTimer *timer, uint32_t ms)
{
    must(sd_event_source_set_time_relative(timer->source, ms * UINT64_C(1000)), "a timer cannot be set");
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_ONESHOT), "a timer cannot be started");
}

static void timer_cancel(SpiceTimer *timer)
{
    must(sd_event_source_set_enabled(timer->source, SD_EVENT_OFF), "a timer cannot be stopped");
}

static void timer_remove(SpiceTimer *timer)
{
    sd_event_source_disable_unref(timer->source);
    g_free(timer);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    SpiceWatch *watch = userdata;
    int event = 0;
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
        event |= SPICE_WATCH_EVENT_READ;
    if (revents & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        event |= SPICE_WATCH_EVENT_WRITE;
    event &= watch->mask;
    if (event)
        watch->func(fd, event, watch->opaque);
    return 0;
}

static uint32_t io_events(int mask)
{
    return (mask & SPICE_WATCH_EVENT_READ ? EPOLLIN : 0U) | (mask & SPICE_WATCH_EVENT_WRITE ? EPOLLOUT : 0U);
}

/* A descriptor of which nobody wants to know anything would still be told to have ended, without end. */
static void watch_update_mask(SpiceWatch *watch, int mask)
{
    watch->mask = mask;
    must(sd_event_source_set_io_events(watch->source, io_events(mask)), "a watch cannot be changed");
    must(sd_event_source_set_enabled(watch->source, mask ? SD_EVENT_ON : SD_EVENT_OFF), "a watch cannot be changed");
}

static SpiceWatch *watch_add(int fd, int mask, SpiceWatchFunc func, void *opaque)
{
    SpiceWatch *watch = g_new0(SpiceWatch, 1);
    watch->func = func;
    watch->opaque = opaque;
    must(sd_event_add_io(loop, &watch->source, fd, io_events(mask), on_io, watch), "a descriptor cannot be watched");
    watch_update_mask(watch, mask);
    return watch;
}

static void watch_remove(SpiceWatch *watch)
{
    sd_event_source_disable_unref(watch->source);
    g_free(watch);
}

SpiceCoreInterface *core_interface(sd_event *event, void (*channel_event)(int event, SpiceChannelEventInfo *info))
{
    static SpiceCoreInterface interface = {
        .base = {SPICE_INTERFACE_CORE, "sd-event", SPICE_INTERFACE_CORE_MAJOR, SPICE_INTERFACE_CORE_MINOR},
        .timer_add = timer_add,
        .timer_start = timer_start,
        .timer_cancel = timer_cancel,
        .timer_remove = timer_remove,
        .watch_add = watch_add,
        .watch_update_mask = watch_update_mask,
        .watch_remove = watch_remove,
    };
    loop = event;
    interface.channel_event = channel_event;
    return &interface;
}
