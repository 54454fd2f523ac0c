/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vmd: arguments, the loop, the bus name. Everything else belongs to the Manager. */

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "cleanup.h"
#include "config.h"
#include "display.h"
#include "last-run.h"
#include "manager.h"
#include "snapshot.h"
#include "value.h"

#define BUS_NAME "org.vmd1"

typedef struct Arguments {
    bool user;
    uint64_t idle_usec;
    bool idle_set;
} Arguments;

static void help(void)
{
    puts("vmd [OPTION...]\n\n"
         "The manager of virtual machines; started by D-Bus or systemd.\n\n"
         "     --user         serve the session bus, for this user's own VMs\n"
         "     --system       serve the system bus (default)\n"
         "     --idle=TIME    leave after this long without anything to do (default 1min, 0: never)\n"
         "  -h --help         show this\n"
         "     --version      show the version\n\n"
         "See vmd(8) and vmctl(1).");
}

/* 1: go on; 0: done; negative: wrong usage. */
static int parse_arguments(int argc, char *argv[], Arguments *arguments)
{
    enum { ARG_USER = 256, ARG_SYSTEM, ARG_IDLE, ARG_VERSION };
    static const struct option options[] = {
        {"user", no_argument, NULL, ARG_USER},       {"system", no_argument, NULL, ARG_SYSTEM},
        {"idle", required_argument, NULL, ARG_IDLE}, {"version", no_argument, NULL, ARG_VERSION},
        {"help", no_argument, NULL, 'h'},            {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
        switch (c) {
        case ARG_USER:
            arguments->user = true;
            break;
        case ARG_SYSTEM:
            arguments->user = false;
            break;
        case ARG_IDLE:
            if (parse_duration(optarg, &arguments->idle_usec) < 0) {
                fprintf(stderr, "vmd: --idle=%s is not a time, such as 90s or 5min\n", optarg);
                return -EINVAL;
            }
            arguments->idle_set = true;
            break;
        case ARG_VERSION:
            puts("vmd " PROJECT_VERSION);
            return 0;
        case 'h':
            help();
            return 0;
        default:
            return -EINVAL;
        }
    if (optind < argc) {
        fprintf(stderr, "vmd: it takes no arguments, but got \"%s\"\n", argv[optind]);
        return -EINVAL;
    }
    return 1;
}

/* GLib's messages with the priorities that journald reads from stderr (sd-daemon(3)). */
static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer userdata)
{
    const char *message = "";
    for (gsize i = 0; i < n_fields; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            message = fields[i].value;
    const char *prefix = level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? SD_ERR
            : level & G_LOG_LEVEL_WARNING                                  ? SD_WARNING
            : level & G_LOG_LEVEL_DEBUG                                    ? SD_DEBUG
                                                                           : SD_INFO;
    if (!(level & G_LOG_LEVEL_DEBUG))
        fprintf(stderr, "%s%s\n", prefix, message);
    return G_LOG_WRITER_HANDLED;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    g_critical("the bus is gone, leaving; VMs go on");
    return sd_event_exit(userdata, 1);
}

static int block_signals(sd_event *event)
{
    static const int signals[] = {SIGTERM, SIGINT};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    (void) signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        int r = sd_event_add_signal(event, NULL, signals[i], NULL, NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(const Arguments *arguments, Error **ret_error)
{
    g_autoptr(sd_event) event = NULL;
    g_autoptr(sd_bus) bus = NULL;
    g_autoptr(Manager) manager = NULL;

    int r = sd_event_default(&event);
    if (r >= 0)
        r = block_signals(event);
    if (r >= 0)
        r = arguments->user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
    if (r < 0) {
        error_set_errno(ret_error, r, arguments->user ? "the session bus" : "the system bus", "it cannot be reached");
        return r;
    }
    (void) sd_event_set_watchdog(event, true);
    (void) sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
        "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, event);

    r = manager_new(arguments->user, event, bus, &manager, ret_error);
    if (r < 0)
        return r;
    if (arguments->idle_set)
        manager->idle_usec = arguments->idle_usec;
    pools_make_first(manager);
    manager_scan_files(manager);
    manager_recover(manager);
    last_runs_settle(manager);
    displays_recover(manager);
    networks_recover(manager);
    pools_recover(manager);
    snapshots_recover(manager);
    manager_wait_for_answers(manager);

    r = manager_export(manager);
    if (r >= 0)
        r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_request_name_async(bus, NULL, BUS_NAME, 0, NULL, NULL);
    if (r < 0) {
        error_set_errno(ret_error, r, BUS_NAME, "the bus name cannot be taken");
        return r;
    }
    (void) sd_notify(false, "READY=1");
    manager_check_idle(manager);
    malloc_trim(0);

    r = sd_event_loop(event);
    (void) sd_bus_flush(bus);
    return r;
}

int main(int argc, char *argv[])
{
    Arguments arguments = {.user = false};
    int r = parse_arguments(argc, argv, &arguments);
    if (r <= 0)
        return r < 0 ? 2 : 0;
    g_log_set_writer_func(write_log, NULL, NULL);
    /* One arena: the daemon has one thread, and memory of the others would only be kept. */
    (void) mallopt(M_ARENA_MAX, 1);

    g_autoptr(Error) error = NULL;
    r = run(&arguments, &error);
    if (r < 0) {
        g_autofree char *message = error ? error_message(error) : g_strdup(strerror(-r));
        g_critical("%s", message);
    }
    return r != 0 ? 1 : 0;
}
