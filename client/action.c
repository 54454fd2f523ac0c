/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "action.h"

#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "kind.h"
#include "name.h"
#include "polkit-agent.h"
#include "report.h"
#include "schema.h"
#include "terminal.h"
#include "value.h"
#include "wait.h"

/* How many calls are under way at once: a bus daemon bounds the replies that a connection may wait for. */
#define CALLS_MAX 64U

/* A wait shorter than this shows nothing. */
#define PROGRESS_AFTER (2 * USEC_PER_SEC)

static const Action actions[] = {
        /* clang-format off */
    { &kind_vm, .verb = "start", .method = "Start", .doing = "starting", .noun = "start", .begun = "starting", .harmless = "org.vmd1.Error.AlreadyRunning" },
    { &kind_vm, .verb = "stop", .method = "Stop", .doing = "stopping", .noun = "stop", .end = "stopped", .harmless = "org.vmd1.Error.NotRunning", .job = true },
    { &kind_vm, .verb = "kill", .method = "Terminate", .doing = "terminating", .noun = "end" },
    { &kind_vm, .verb = "reboot", .method = "Reboot", .doing = "rebooting", .noun = "reboot" },
    { &kind_vm, .verb = "reset", .method = "Reset", .doing = "resetting", .noun = "reset" },
    { &kind_vm, .verb = "pause", .method = "Pause", .doing = "pausing", .noun = "pause" },
    { &kind_vm, .verb = "resume", .method = "Resume", .doing = "resuming", .noun = "resumption" },
    { &kind_vm, .verb = "save", .method = "Save", .doing = "saving", .noun = "saving", .end = "saved", .job = true },
    { &kind_vm, .verb = "discard", .method = "DiscardSaved", .doing = "discarding the saved state of", .noun = "discarding" },
    { &kind_vm, .verb = "delete", .method = "Delete", .doing = "deleting", .noun = "deletion", .flags = true, .confirm = true },
    { &kind_network, .verb = "start", .method = "Start", .doing = "starting", .noun = "start" },
    { &kind_network, .verb = "stop", .method = "Stop", .doing = "stopping", .noun = "stop" },
    { &kind_network, .verb = "delete", .method = "Delete", .doing = "deleting", .noun = "deletion", .confirm = true },
    { &kind_pool, .verb = "start", .method = "Start", .doing = "starting", .noun = "start", .harmless = "org.vmd1.Error.AlreadyRunning" },
    { &kind_pool, .verb = "stop", .method = "Stop", .doing = "stopping", .noun = "stop" },
    { &kind_pool, .verb = "refresh", .method = "Refresh", .doing = "refreshing", .noun = "refresh" },
    { &kind_pool, .verb = "delete", .method = "Delete", .doing = "deleting", .noun = "deletion", .confirm = true },
        /* clang-format on */
};

struct Work;

/* One VM or network: its call is sent, its job (if it has one) awaited, and then it is done. */
typedef struct Item {
    struct Work *work;
    const char *name;
    char *path;
    char *job; /* the job that is awaited */
    sd_bus_slot *call;
    sd_bus_slot *watch; /* of its state, with --no-block */
    bool sent, done;
    int exit;
} Item;

typedef struct Work {
    Client *client;
    const Action *action;
    Item *items;
    size_t n_items, n_sent, n_done;
    Wait *wait;
    uint64_t begun;    /* CLOCK_MONOTONIC */
    uint64_t limit;    /* StopTimeout=, for the progress line; 0: not known */
    double progress;   /* of the only job; negative: not known */
    bool shows_progress, asked_limit, interrupted;
    sd_bus_slot *progress_call;
} Work;

static void send_more(Work *work);

const Action *action_find(const ObjectKind *kind, const char *verb)
{
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (actions[i].kind == kind && strcmp(actions[i].verb, verb) == 0)
            return &actions[i];
    g_assert_not_reached();
}

static void clear_progress(Work *work)
{
    if (work->shows_progress)
        fputs("\r\033[K", stderr);
    work->shows_progress = false;
}

static void item_done(Item *item, int exit)
{
    Work *work = item->work;
    if (item->done)
        return;
    item->done = true;
    item->exit = exit;
    item->call = sd_bus_slot_unref(item->call);
    item->watch = sd_bus_slot_unref(item->watch);
    work->n_done++;
    send_more(work);
}

static int job_exit(Item *item, const char *result, const char *message)
{
    if (strcmp(result, "done") == 0)
        return EXIT_DONE;
    clear_progress(item->work);
    if (strcmp(result, "cancelled") == 0)
        return report("VM \"%s\": its %s was cancelled", item->name, item->work->action->noun);
    return report_job(item->work->client, item->name, message);
}

static bool on_job(const char *job, const char *result, const char *message, void *userdata)
{
    Work *work = userdata;
    for (size_t i = 0; i < work->n_items; i++) {
        Item *item = &work->items[i];
        if (item->done || g_strcmp0(item->job, job) != 0)
            continue;
        item_done(item, job_exit(item, result, message));
        return true;
    }
    return false;
}

static void follow_job(Item *item, const char *job)
{
    g_free(item->job);
    item->job = g_strdup(job);
    (void) wait_for_job(item->work->wait, job);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    Work *work = item->work;
    const sd_bus_error *error = sd_bus_message_get_error(m);
    const char *job;

    if (error) {
        if ((work->client->notify || work->client->now) && work->action->harmless &&
                strcmp(error->name, work->action->harmless) == 0) {
            item_done(item, EXIT_DONE);
            return 0;
        }
        clear_progress(work);
        item_done(item, report_bus(work->client, item->name, error, -sd_bus_error_get_errno(error)));
        return 0;
    }
    if (!work->action->job || work->client->no_block) {
        item_done(item, EXIT_DONE);
        return 0;
    }
    item->call = sd_bus_slot_unref(item->call);
    if (sd_bus_message_read(m, "o", &job) < 0)
        item_done(item, report("VM \"%s\": vmd's answer has no job", item->name));
    else
        follow_job(item, job);
    return 0;
}

/* --no-block with a call that replies at the end only: its first change of state is enough. */
static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    const char *name, *state;
    if (sd_bus_message_skip(m, "s") < 0 || sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
        return 0;
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &name) < 0)
            return 0;
        if (strcmp(name, "State") == 0) {
            if (sd_bus_message_read(m, "v", "s", &state) >= 0 &&
                    (strcmp(state, item->work->action->begun) == 0 || strcmp(state, "running") == 0))
                item_done(item, EXIT_DONE);
            return 0;
        }
        if (sd_bus_message_skip(m, "v") < 0 || sd_bus_message_exit_container(m) < 0)
            return 0;
    }
    return 0;
}

static int item_send(Item *item)
{
    Work *work = item->work;
    Client *client = work->client;
    g_autoptr(sd_bus_message) message = NULL;
    g_autoptr(Error) error = NULL;

    if (!name_check(item->name, &error))
        return report_error(error);
    item->path = kind_object(work->action->kind, item->name);
    if (client->no_block && work->action->begun) {
        int r = sd_bus_match_signal_async(client->bus, &item->watch, BUS_NAME, item->path,
                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, NULL, item);
        if (r < 0)
            return report_errno(r, "VM \"%s\": cannot watch its state", item->name);
    }
    int r = client_new_call(
            client, item->name, work->action->kind->interface, work->action->method, &message);
    if (r != EXIT_DONE)
        return r;
    r = work->action->flags ? sd_bus_message_append(message, "t", (uint64_t) client->force) : 0;
    if (r >= 0)
        r = sd_bus_call_async(client->bus, &item->call, message, on_reply, item, CALL_TIMEOUT);
    return r < 0 ? report_errno(r, "%s \"%s\": cannot make the call", work->action->kind->word, item->name)
                 : EXIT_DONE;
}

static void send_more(Work *work)
{
    while (work->n_sent < work->n_items && work->n_sent - work->n_done < CALLS_MAX) {
        Item *item = &work->items[work->n_sent++];
        int r = item_send(item);
        if (r != EXIT_DONE)
            item_done(item, r);
    }
}

static void on_signal(void *userdata)
{
    Work *work = userdata;
    const ObjectKind *kind = work->action->kind;
    clear_progress(work);
    for (size_t i = 0; i < work->n_items; i++)
        /* What still waits for a password ends with us. */
        if (!work->items[i].done && (work->items[i].job || !polkit_agent_is_running()))
            note(work->client, "%s \"%s\": its %s goes on. See: vmctl%s%s %s", kind->word,
                    work->items[i].name, work->action->noun, client_hint_options(work->client), kind->look,
                    work->items[i].name);
    work->interrupted = true;
}

static void job_lost(Item *item, const char *state)
{
    Work *work = item->work;
    clear_progress(work);
    item_done(item,
            report("VM \"%s\": vmd was restarted during its %s; the VM is %s. See: vmctl%s status %s",
                    item->name, work->action->noun, state, client_hint_options(work->client), item->name));
}

static int on_state_after_restart(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    const char *state = "unknown";
    if (!sd_bus_message_is_method_error(m, NULL))
        (void) sd_bus_message_read(m, "v", "s", &state);
    if (strcmp(state, item->work->action->end) == 0)
        item_done(item, EXIT_DONE);
    else
        job_lost(item, state);
    return 0;
}

/* The new vmd has taken the job up again, or the VM's state says how it ended. */
static int on_jobs_after_restart(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    const char *type, *state, *object, *job;

    item->call = sd_bus_slot_unref(item->call);
    if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_enter_container(m, 'a', "(ussoo)") >= 0)
        while (sd_bus_message_read(m, "(ussoo)", NULL, &type, &state, &object, &job) > 0)
            if (strcmp(object, item->path) == 0) {
                follow_job(item, job);
                return 0;
            }
    if (sd_bus_call_method_async(item->work->client->bus, &item->call, BUS_NAME, item->path,
                "org.freedesktop.DBus.Properties", "Get", on_state_after_restart, item, "ss", VM_INTERFACE,
                "State") < 0)
        job_lost(item, "unknown");
    return 0;
}

/* vmd went away, and its jobs with it; the VMs did not. What became of them the next vmd knows, which the
 * question starts. */
static void on_vmd_ended(void *userdata)
{
    Work *work = userdata;
    for (size_t i = 0; i < work->n_items; i++) {
        Item *item = &work->items[i];
        if (item->done || !item->job)
            continue;
        g_clear_pointer(&item->job, g_free);
        if (sd_bus_call_method_async(work->client->bus, &item->call, BUS_NAME, MANAGER_PATH,
                    MANAGER_INTERFACE, "ListJobs", on_jobs_after_restart, item, NULL) < 0)
            job_lost(item, "unknown");
    }
}

static const Item *only_pending(const Work *work)
{
    if (work->n_items - work->n_done != 1)
        return NULL;
    for (size_t i = 0; i < work->n_items; i++)
        if (!work->items[i].done)
            return &work->items[i];
    return NULL;
}

static void print_progress(Work *work)
{
    const Item *item = only_pending(work);
    uint64_t waited = ((uint64_t) g_get_monotonic_time() - work->begun) / USEC_PER_SEC * USEC_PER_SEC;
    g_autofree char *text = format_duration(waited);
    g_autofree char *limit =
            work->limit > 0 && work->limit != USEC_INFINITY ? format_duration(work->limit) : NULL;

    fputs("\r\033[K", stderr);
    if (item)
        fprintf(stderr, "%s: %s, ", item->name, work->action->doing);
    else
        fprintf(stderr, "%zu %s: %s, ", work->n_items - work->n_done, work->action->kind->things,
                work->action->doing);
    if (item && work->progress >= 0)
        fprintf(stderr, "%.0f%%, ", work->progress * 100);
    fprintf(stderr, "%s%s%s", text, limit && item ? " of " : "", limit && item ? limit : "");
    (void) fflush(stderr);
    work->shows_progress = true;
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Work *work = userdata;
    work->progress_call = sd_bus_slot_unref(work->progress_call);
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "v", "d", &work->progress) < 0)
        work->progress = -1;
    return 0;
}

/* StopTimeout= where the file sets it, else its default. */
static int on_settings(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Work *work = userdata;
    const SettingKey *key = schema_find_key(&vm_schema, "VM", "StopTimeout");
    const char *section, *name;

    work->progress_call = sd_bus_slot_unref(work->progress_call);
    if (key && key->default_value)
        (void) parse_duration(key->default_value, &work->limit);
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_enter_container(m, 'a', "{sa{sv}}") < 0)
        return 0;
    while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
        if (sd_bus_message_read(m, "s", &section) < 0 || sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
            return 0;
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
            if (sd_bus_message_read(m, "s", &name) < 0)
                return 0;
            bool wanted = strcmp(section, "VM") == 0 && strcmp(name, "StopTimeout") == 0;
            int r = wanted ? sd_bus_message_read(m, "v", "t", &work->limit) : sd_bus_message_skip(m, "v");
            if (r < 0 || sd_bus_message_exit_container(m) < 0)
                return 0;
        }
        if (sd_bus_message_exit_container(m) < 0 || sd_bus_message_exit_container(m) < 0)
            return 0;
    }
    return 0;
}

static void ask_progress(Work *work, const Item *item)
{
    sd_bus *bus = work->client->bus;
    if (work->progress_call)
        return;
    if (work->action->job && strcmp(work->action->verb, "stop") == 0) {
        if (!work->asked_limit)
            (void) sd_bus_call_method_async(bus, &work->progress_call, BUS_NAME, item->path, VM_INTERFACE,
                    "GetSettings", on_settings, work, NULL);
        work->asked_limit = true;
    } else if (item->job) {
        (void) sd_bus_call_method_async(bus, &work->progress_call, BUS_NAME, item->job,
                "org.freedesktop.DBus.Properties", "Get", on_progress, work, "ss", JOB_INTERFACE, "Progress");
    }
}

static void on_tick(void *userdata)
{
    Work *work = userdata;
    const Item *item = only_pending(work);
    if (item)
        ask_progress(work, item);
    /* While it may be a password that is waited for, the line is the agent's. */
    if (!polkit_agent_is_running() || (item && item->job))
        print_progress(work);
}

static int first_failure(const Work *work)
{
    for (size_t i = 0; i < work->n_items; i++)
        if (work->items[i].exit != EXIT_DONE)
            return work->items[i].exit;
    return EXIT_DONE;
}

static bool is_over(const void *userdata)
{
    const Work *work = userdata;
    return work->n_done >= work->n_items || work->interrupted;
}

int action_perform(Client *client, const Action *action, char **names)
{
    bool shows = !client->quiet && isatty(STDERR_FILENO) && isatty(STDOUT_FILENO);
    const WaitEvents events = {
            .on_job = action->job && !client->no_block ? on_job : NULL,
            .on_vmd_ended = on_vmd_ended,
            .on_signal = on_signal,
            .on_tick = shows ? on_tick : NULL,
            .tick_after = PROGRESS_AFTER,
            .tick_every = USEC_PER_SEC,
    };
    Work work = {
            .client = client, .action = action, .progress = -1, .begun = (uint64_t) g_get_monotonic_time()};
    g_autoptr(Wait) wait = work.wait = wait_new(client, &events, &work);
    if (!wait)
        return EXIT_FAILED;
    work.n_items = g_strv_length(names);
    g_autofree Item *items = work.items = g_new0(Item, work.n_items);
    for (size_t i = 0; i < work.n_items; i++)
        items[i] = (Item){.work = &work, .name = names[i]};

    send_more(&work);
    int r = wait_until(wait, is_over);
    if (r < 0)
        r = report_errno(r, "the bus: it broke off");
    else
        r = work.interrupted ? EXIT_INTERRUPTED : first_failure(&work);
    clear_progress(&work);
    for (size_t i = 0; i < work.n_items; i++) {
        sd_bus_slot_unref(items[i].call);
        sd_bus_slot_unref(items[i].watch);
        g_free(items[i].path);
        g_free(items[i].job);
    }
    sd_bus_slot_unref(work.progress_call);
    return r;
}
