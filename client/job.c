/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include <string.h>
#include <unistd.h>

#include "bar.h"
#include "connect.h"
#include "polkit-agent.h"
#include "report.h"
#include "wait.h"

/* So many at once. */
#define JOBS_MAX 16U

struct Work;

typedef struct Item {
    struct Work *work;
    JobCall *call;
    char *job; /* the job that is awaited */
    sd_bus_slot *slot, *watch, *cancel;
    double progress; /* negative: not known */
    bool done;
    int exit;
} Item;

typedef struct Work {
    Client *client;
    const JobKind *kind;
    Item *items;
    size_t n_items, n_sent, n_done;
    Wait *wait;
    bool interrupted, left;
    Bar bar;
} Work;

static void send_more(Work *work);

void job_call_clear(JobCall *call)
{
    g_free(call->pool);
    g_free(call->volume);
    sd_bus_message_unref(call->message);
}

static void item_done(Item *item, int exit)
{
    Work *work = item->work;
    if (item->done)
        return;
    item->done = true;
    item->exit = exit;
    item->call->done = exit == EXIT_DONE;
    item->slot = sd_bus_slot_unref(item->slot);
    item->watch = sd_bus_slot_unref(item->watch);
    work->n_done++;
    send_more(work);
}

/* ---- jobs ---- */

/* "default/web.qcow2", or "web". */
static char *name_of(const JobCall *call)
{
    return call->volume ? g_strdup_printf("%s/%s", call->pool, call->volume) : g_strdup(call->pool);
}

static void job_ended(Item *item, const char *result, const char *message)
{
    const Work *work = item->work;
    const JobCall *call = item->call;
    bar_clear(&item->work->bar);
    if (strcmp(result, "done") == 0)
        return item_done(item, EXIT_DONE);
    if (strcmp(result, "cancelled") != 0)
        return item_done(item, report_job(work->client, call->pool, message));
    g_autofree char *name = name_of(call);
    (void) report("%s \"%s\": its %s was cancelled; %s", work->kind->thing, name, work->kind->noun, work->kind->undone);
    item_done(item, work->interrupted ? EXIT_INTERRUPTED : EXIT_FAILED);
}

static bool on_job(const char *job, const char *result, const char *message, void *userdata)
{
    Work *work = userdata;
    for (size_t i = 0; i < work->n_items; i++)
        if (!work->items[i].done && g_strcmp0(work->items[i].job, job) == 0) {
            job_ended(&work->items[i], result, message);
            return true;
        }
    return false;
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    const char *name;
    if (sd_bus_message_skip(m, "s") < 0 || sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
        return 0;
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &name) < 0)
            return 0;
        int r = strcmp(name, "Progress") == 0 ? sd_bus_message_read(m, "v", "d", &item->progress) : sd_bus_message_skip(m, "v");
        if (r < 0 || sd_bus_message_exit_container(m) < 0)
            return 0;
    }
    return 0;
}

/* Where it has just ended, or cannot be taken back any more, its end says all. */
static int on_cancelled(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    Work *work = item->work;
    const sd_bus_error *error = sd_bus_message_get_error(m);
    item->cancel = sd_bus_slot_unref(item->cancel);
    if (!error || item->done || sd_bus_error_has_name(error, "org.vmd1.Error.NoSuchJob") || sd_bus_error_has_name(error, "org.vmd1.Error.Unsupported") ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT))
        return 0;
    bar_clear(&work->bar);
    (void) report_bus(work->client, NULL, error, -sd_bus_error_get_errno(error));
    g_autofree char *name = name_of(item->call);
    note(work->client, "%s \"%s\": its %s goes on. See: vmctl%s jobs", work->kind->thing, name, work->kind->noun, client_hint_options(work->client));
    item_done(item, EXIT_INTERRUPTED);
    return 0;
}

static void cancel_job(Item *item)
{
    if (!item->cancel)
        (void) sd_bus_call_method_async(
                item->work->client->bus, &item->cancel, BUS_NAME, item->job, JOB_INTERFACE, "Cancel", on_cancelled, item, NULL);
}

static void follow_job(Item *item, const char *job)
{
    Work *work = item->work;
    item->job = g_strdup(job);
    if (wait_for_job(work->wait, job))
        return;
    (void) sd_bus_match_signal_async(work->client->bus, &item->watch, BUS_NAME, job, "org.freedesktop.DBus.Properties", "PropertiesChanged",
            on_progress, NULL, item);
    if (work->interrupted)
        cancel_job(item);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Item *item = userdata;
    Work *work = item->work;
    const sd_bus_error *error = sd_bus_message_get_error(m);
    const char *job;

    item->slot = sd_bus_slot_unref(item->slot);
    if (error) {
        bar_clear(&work->bar);
        item_done(item, report_bus(work->client, item->call->pool, error, -sd_bus_error_get_errno(error)));
    } else if (*sd_bus_message_get_signature(m, true) != 'o' || work->client->no_block)
        item_done(item, EXIT_DONE);
    else if (sd_bus_message_read(m, "o", &job) < 0) {
        g_autofree char *name = name_of(item->call);
        item_done(item, report("%s \"%s\": vmd's answer has no job", item->work->kind->thing, name));
    } else {
        if (item->call->answered)
            item->call->answered(m, item->call->userdata);
        follow_job(item, job);
    }
    return 0;
}

static void send_more(Work *work)
{
    while (!work->interrupted && work->n_sent < work->n_items && work->n_sent - work->n_done < JOBS_MAX) {
        Item *item = &work->items[work->n_sent++];
        int r = sd_bus_call_async(work->client->bus, &item->slot, item->call->message, on_reply, item, CALL_TIMEOUT);
        if (r >= 0)
            continue;
        g_autofree char *name = name_of(item->call);
        item_done(item, report_errno(r, "%s \"%s\": cannot make the call", work->kind->thing, name));
    }
}

/* ---- what comes in between ---- */

static void on_signal(void *userdata)
{
    Work *work = userdata;
    bar_clear(&work->bar);
    if (work->interrupted) {
        work->left = true;
        return;
    }
    work->interrupted = true;
    for (size_t i = 0; i < work->n_items; i++) {
        Item *item = &work->items[i];
        if (item->done)
            continue;
        if (item->job)
            cancel_job(item);
        else if (i >= work->n_sent || polkit_agent_is_running())
            /* What still waits for a password ends with us. */
            item_done(item, EXIT_INTERRUPTED);
    }
}

/* What was half made goes when the next vmd starts, if not with this one. */
static void on_vmd_ended(void *userdata)
{
    Work *work = userdata;
    for (size_t i = 0; i < work->n_items; i++) {
        Item *item = &work->items[i];
        if (item->done || !item->job)
            continue;
        bar_clear(&work->bar);
        g_autofree char *name = name_of(item->call);
        item_done(item, report("%s \"%s\": vmd ended during its %s; %s. Try it again", work->kind->thing, name, work->kind->noun, work->kind->undone));
    }
}

/* ---- the bar ---- */

/* Of all together; negative: not known. */
static double whole_progress(const Work *work)
{
    double sum = 0;
    for (size_t i = 0; i < work->n_items; i++) {
        const Item *item = &work->items[i];
        if (work->n_items == 1)
            return item->progress;
        sum += item->done ? 1 : MAX(item->progress, 0);
    }
    return sum / (double) work->n_items;
}

static uint64_t whole_size(const Work *work)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < work->n_items; i++) {
        if (work->items[i].call->size == 0)
            return 0;
        sum += work->items[i].call->size;
    }
    return sum;
}

/* "default/web.qcow2: copying [====>     ]  45%, 120M/s, 1min 5s left" */
static void print_bar(Work *work)
{
    double progress = CLAMP(whole_progress(work), -1, 1);
    g_autofree char *name = name_of(work->items[0].call);
    const char *doing = work->interrupted ? "cancelling" : work->kind->doing;
    g_autofree char *label = work->n_items == 1 ? g_strdup_printf("%s: %s", name, doing)
                                                : g_strdup_printf("%zu volumes: %s", work->n_items, doing);
    bar_print(&work->bar, label, progress, whole_size(work));
}

static bool has_job(const Work *work)
{
    for (size_t i = 0; i < work->n_items; i++)
        if (!work->items[i].done && work->items[i].job)
            return true;
    return false;
}

static void on_tick(void *userdata)
{
    Work *work = userdata;
    /* While it may be a password that is waited for, the line is the agent's. */
    if (has_job(work))
        print_bar(work);
}

/* ---- all of it ---- */

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
    return work->n_done >= work->n_items || work->left;
}

static int run(Work *work)
{
    send_more(work);
    int r = wait_until(work->wait, is_over);
    bar_clear(&work->bar);
    if (r < 0)
        return report_errno(r, "the bus: it broke off");
    for (size_t i = 0; work->left && i < work->n_items; i++) {
        g_autofree char *name = name_of(work->items[i].call);
        if (!work->items[i].done)
            note(work->client, "%s \"%s\": it is not known yet how its %s ends. See: vmctl%s jobs", work->kind->thing, name, work->kind->noun,
                client_hint_options(work->client));
    }
    return work->left ? EXIT_INTERRUPTED : first_failure(work);
}

int job_perform(Client *client, const JobKind *kind, JobCall *calls, size_t n)
{
    const WaitEvents events = {
            .on_job = on_job,
            .on_vmd_ended = on_vmd_ended,
            .on_signal = on_signal,
            .on_tick = !client->quiet && isatty(STDERR_FILENO) ? on_tick : NULL,
            .tick_after = BAR_AFTER,
            .tick_every = BAR_EVERY,
    };
    Work work = {.client = client, .kind = kind, .n_items = n};
    g_autoptr(Wait) wait = work.wait = wait_new(client, &events, &work);
    if (!wait)
        return EXIT_FAILED;
    g_autofree Item *items = work.items = g_new0(Item, n);
    bar_init(&work.bar, 0);
    for (size_t i = 0; i < n; i++)
        items[i] = (Item){.work = &work, .call = &calls[i], .progress = -1};

    int r = run(&work);
    for (size_t i = 0; i < n; i++) {
        sd_bus_slot_unref(items[i].slot);
        sd_bus_slot_unref(items[i].watch);
        sd_bus_slot_unref(items[i].cancel);
        g_free(items[i].job);
    }
    return r;
}
