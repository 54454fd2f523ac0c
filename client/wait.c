/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wait.h"

#include <signal.h>
#include <systemd/sd-event.h>

#include "connect.h"
#include "report.h"

struct Wait {
    Client *client;
    const WaitEvents *events;
    void *userdata;
    sd_event *event;
    sd_bus_slot *jobs, *owner;
    GHashTable *ended; /* jobs that ended before we knew that they are ours: path to "RESULT\nMESSAGE" */
};

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    const Wait *wait = userdata;
    const char *job, *result, *message;
    if (sd_bus_message_read(m, "uoss", NULL, &job, &result, &message) < 0)
        return 0;
    if (!wait->events->on_job(job, result, message, wait->userdata))
        g_hash_table_insert(wait->ended, g_strdup(job), g_strdup_printf("%s\n%s", result, message));
    return 0;
}

bool wait_for_job(Wait *wait, const char *job)
{
    const char *ended = g_hash_table_lookup(wait->ended, job);
    if (!ended)
        return false;
    g_auto(GStrv) parts = g_strsplit(ended, "\n", 2);
    (void) wait->events->on_job(job, parts[0], parts[1], wait->userdata);
    return true;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    const Wait *wait = userdata;
    const char *owner;
    if (sd_bus_message_read(m, "sss", NULL, NULL, &owner) >= 0 && !*owner)
        wait->events->on_vmd_ended(wait->userdata);
    return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    const Wait *wait = userdata;
    wait->events->on_signal(wait->userdata);
    return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    const Wait *wait = userdata;
    wait->events->on_tick(wait->userdata);
    (void) sd_event_source_set_time(source, usec + wait->events->tick_every);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int watch_jobs(Wait *wait)
{
    int r = sd_bus_match_signal_async(
            wait->client->bus, &wait->jobs, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", on_job_removed, NULL, wait);
    if (r >= 0)
        r = sd_bus_add_match_async(wait->client->bus, &wait->owner,
                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" BUS_NAME "'", on_owner_changed, NULL, wait);
    return r;
}

static int set_up(Wait *wait)
{
    const WaitEvents *events = wait->events;
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    (void) sigprocmask(SIG_BLOCK, &signals, NULL);

    int r = sd_event_new(&wait->event);
    if (r >= 0)
        r = sd_bus_attach_event(wait->client->bus, wait->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_event_add_signal(wait->event, NULL, SIGINT, on_signal, wait);
    if (r >= 0)
        r = sd_event_add_signal(wait->event, NULL, SIGTERM, on_signal, wait);
    if (r >= 0 && events->on_job)
        r = watch_jobs(wait);
    if (r >= 0 && events->on_tick)
        r = sd_event_add_time_relative(wait->event, NULL, CLOCK_MONOTONIC, events->tick_after, 0, on_tick, wait);
    return r;
}

Wait *wait_new(Client *client, const WaitEvents *events, void *userdata)
{
    if (client_connect(client) != EXIT_DONE)
        return NULL;
    g_autoptr(Wait) wait = g_new0(Wait, 1);
    wait->client = client;
    wait->events = events;
    wait->userdata = userdata;
    wait->ended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    int r = set_up(wait);
    if (r >= 0)
        return g_steal_pointer(&wait);
    (void) report_errno(r, "vmctl: cannot wait for the bus");
    return NULL;
}

void wait_free(Wait *wait)
{
    if (!wait)
        return;
    g_hash_table_unref(wait->ended);
    sd_bus_slot_unref(wait->jobs);
    sd_bus_slot_unref(wait->owner);
    (void) sd_bus_detach_event(wait->client->bus);
    sd_event_unref(wait->event);
    g_free(wait);
}

int wait_until(Wait *wait, bool (*is_over)(const void *userdata))
{
    int r = 0;
    /* Not sd_event_loop(): the end of that closes the bus, which the caller may still need. */
    while (r >= 0 && !is_over(wait->userdata))
        r = sd_event_run(wait->event, UINT64_MAX);
    return r;
}
