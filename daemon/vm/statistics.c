/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "statistics.h"

#include "counters.h"
#include "link.h"
#include "machine.h"
#include "manager.h"
#include "port.h"
#include "usage.h"

/* How long QEMU has to answer, and for how long an answer is good enough for whoever asks next. */
#define ANSWER_USEC (G_USEC_PER_SEC / 2)
#define FRESH_USEC (G_USEC_PER_SEC / 10)

/* How often the guest reports, and for how long after somebody has asked. */
#define REPORT_SECONDS 2
#define REPORT_USEC (10 * G_USEC_PER_SEC)

#define BALLOON_PATH "/machine/peripheral/" MACHINE_BALLOON
#define REPORT_INTERVAL "guest-stats-polling-interval"

typedef struct Asker {
    StatisticsDone done;
    void *userdata;
} Asker;

struct Statistics {
    Instance *instance;
    Figures *figures;  /* those that are being read, or were last */
    uint64_t time;     /* when */
    GArray *askers;    /* Asker: who waits for them; empty where nothing is being read */
    unsigned unanswered; /* questions to QEMU, also of a reading that went on without it */
    bool late;         /* what is unanswered is of such a one */
    bool no_exits;     /* this QEMU does not count them */
    sd_event_source *deadline;
    sd_event_source *report_end; /* while the guest reports */
};

static void finish(Statistics *statistics, const Error *error)
{
    GArray *askers = statistics->askers;
    statistics->askers = g_array_new(false, false, sizeof(Asker));
    statistics->late = statistics->unanswered > 0;
    statistics->deadline = sd_event_source_disable_unref(statistics->deadline);
    for (guint i = 0; i < askers->len; i++) {
        const Asker *asker = &g_array_index(askers, Asker, i);
        asker->done(error ? NULL : statistics->figures, statistics->time, error, asker->userdata);
    }
    g_array_unref(askers);
}

/* ---- what QEMU says ---- */

static void answered(Statistics *statistics, void (*read)(const json_t *, Figures *), const json_t *result)
{
    statistics->unanswered--;
    if (!statistics->late && result)
        read(result, statistics->figures);
    if (statistics->unanswered > 0)
        return;
    bool was_late = statistics->late;
    statistics->late = false;
    if (!was_late)
        finish(statistics, NULL);
}

static void on_disks(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    answered(userdata, counters_read_disks, result);
}

static void on_balloon(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    answered(userdata, counters_read_balloon, result);
}

static void on_plugged(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    answered(userdata, counters_read_plugged, result);
}

static void on_guest(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    answered(userdata, counters_read_guest, result);
}

static void on_exits(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Statistics *statistics = userdata;
    statistics->no_exits = error != NULL;
    answered(statistics, counters_read_exits, result);
}

static void ask(Statistics *statistics, const char *command, json_t *arguments, QmpReply reply)
{
    if (qmp_call(statistics->instance->qmp, command, arguments, -1, 0, reply, statistics) >= 0)
        statistics->unanswered++;
}

static void set_report_interval(const Instance *instance, int seconds)
{
    (void) qmp_call(instance->qmp, "qom-set", json_pack("{ss ss si}", "path", BALLOON_PATH, "property", REPORT_INTERVAL, "value", seconds), -1, 0,
        NULL, NULL);
}

static int on_report_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    Statistics *statistics = userdata;
    statistics->report_end = sd_event_source_disable_unref(statistics->report_end);
    if (statistics->instance->qmp && statistics->instance->monitor_ready)
        set_report_interval(statistics->instance, 0);
    return 0;
}

/* QEMU asks the guest as soon as this is set, so that what comes next time is not old. */
static void let_guest_report(Statistics *statistics)
{
    if (statistics->report_end) {
        (void) sd_event_source_set_time_relative(statistics->report_end, REPORT_USEC);
        return;
    }
    if (sd_event_add_time_relative(statistics->instance->vm->manager->event, &statistics->report_end, CLOCK_MONOTONIC, REPORT_USEC, G_USEC_PER_SEC,
            on_report_end, statistics) >= 0)
        set_report_interval(statistics->instance, REPORT_SECONDS);
}

static void ask_qemu(Statistics *statistics)
{
    const Instance *instance = statistics->instance;
    ask(statistics, "query-blockstats", NULL, on_disks);
    ask(statistics, "query-balloon", NULL, on_balloon);
    ask(statistics, "query-memory-devices", NULL, on_plugged);
    ask(statistics, "qom-get", json_pack("{ss ss}", "path", BALLOON_PATH, "property", "guest-stats"), on_guest);
    if (instance->kvm && !statistics->no_exits)
        ask(statistics, "query-stats", counters_exits_arguments(), on_exits);
    let_guest_report(statistics);
}

/* ---- what the kernel says ---- */

/* A tap's other end is the guest; what passes a macvtap is counted at the guest's. */
static void read_port(Links *links, const Port *port, Figures *figures)
{
    LinkCounters c;
    if (links_counters(links, port->index, &c) < 0)
        return;
    if (!port->macvtap)
        c = (LinkCounters){c.sent, c.received, c.packets_sent, c.packets_received, c.errors_sent, c.errors_received, c.dropped_sent, c.dropped_received};
    const struct {
        const char *name;
        uint64_t value;
    } counters[] = {
        {"received", c.received},
        {"sent", c.sent},
        {"packets-received", c.packets_received},
        {"packets-sent", c.packets_sent},
        {"errors-received", c.errors_received},
        {"errors-sent", c.errors_sent},
        {"dropped-received", c.dropped_received},
        {"dropped-sent", c.dropped_sent},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
        figures_add(figures, "networks", port->section, counters[i].name, counters[i].value);
}

static void read_kernel(const VM *vm, Figures *figures)
{
    const Manager *manager = vm->manager;
    g_autofree char *unit = vm_scope(vm);
    fd_cleanup int cgroup = scope_cgroup_open(manager->scopes, unit);
    if (cgroup >= 0)
        usage_read(cgroup, figures);
    pid_t qemu = instance_read_qemu(vm->instance);
    if (qemu > 0)
        usage_read_process(qemu, vm->instance->guard, figures);
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (*port->section && g_str_equal(port->vm, vm->name))
            read_port(manager->links, port, figures);
    }
}

/* ---- readings ---- */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    finish(userdata, NULL);
    return 0;
}

static void begin(Statistics *statistics)
{
    const Instance *instance = statistics->instance;
    figures_free(statistics->figures);
    statistics->figures = figures_new();
    statistics->time = (uint64_t) g_get_monotonic_time();
    read_kernel(instance->vm, statistics->figures);
    if (instance->qmp && instance->monitor_ready && statistics->unanswered == 0)
        ask_qemu(statistics);
    if (statistics->unanswered == 0 || statistics->late || sd_event_add_time_relative(instance->vm->manager->event, &statistics->deadline, CLOCK_MONOTONIC,
            ANSWER_USEC, 1, on_deadline, statistics) < 0)
        finish(statistics, NULL);
}

static Statistics *statistics_of(Instance *instance)
{
    if (!instance->statistics) {
        instance->statistics = g_new0(Statistics, 1);
        instance->statistics->instance = instance;
        instance->statistics->askers = g_array_new(false, false, sizeof(Asker));
    }
    return instance->statistics;
}

bool vm_read_statistics(VM *vm, StatisticsDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm->instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    Statistics *statistics = statistics_of(vm->instance);
    const Asker asker = {.done = done, .userdata = userdata};
    bool is_read = statistics->askers->len > 0;
    if (!is_read && statistics->figures && (uint64_t) g_get_monotonic_time() - statistics->time < FRESH_USEC) {
        done(statistics->figures, statistics->time, NULL, userdata);
        return true;
    }
    g_array_append_val(statistics->askers, asker);
    if (!is_read)
        begin(statistics);
    return true;
}

void statistics_recover(Instance *instance)
{
    set_report_interval(instance, 0);
}

void statistics_free(Statistics *statistics)
{
    if (!statistics)
        return;
    g_autoptr(Error) gone = NULL;
    g_autofree char *thing = vm_thing(statistics->instance->vm);
    error_set(&gone, ERROR_NOT_RUNNING, thing, NULL, "it has ended");
    if (statistics->instance->qmp)
        qmp_forget(statistics->instance->qmp, statistics);
    finish(statistics, gone);
    sd_event_source_disable_unref(statistics->report_end);
    figures_free(statistics->figures);
    g_array_unref(statistics->askers);
    g_free(statistics);
}
