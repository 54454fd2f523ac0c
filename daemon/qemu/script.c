/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"

#define PROGRESS_USEC (200 * 1000)
#define ANSWER_USEC (60 * G_USEC_PER_SEC)

typedef struct Step {
    char *command;
    json_t *arguments;
    int fd; /* goes along; -1: none */
    bool job;
    ScriptAnswer answer; /* NULL: it does not matter */
    ScriptReady ready;   /* NULL: it is completed */
    void *userdata;
} Step;

struct Script {
    sd_event *event;
    char *job_id;
    Qmp *qmp;
    GPtrArray *steps; /* Step */
    unsigned next;    /* the one that is under way is next - 1 */
    bool ended, cancelled;
    sd_event_source *timer;
    ScriptDone done;
    ScriptProgress progress;
    void *userdata;
};

static void step_free(void *userdata)
{
    Step *step = userdata;
    g_free(step->command);
    json_decref(step->arguments);
    close_fd(&step->fd);
    g_free(step);
}

Script *script_new(sd_event *event, const char *job_id)
{
    Script *script = g_new0(Script, 1);
    script->event = sd_event_ref(event);
    script->job_id = g_strdup(job_id);
    script->steps = g_ptr_array_new_with_free_func(step_free);
    return script;
}

void script_free(Script *script)
{
    if (!script)
        return;
    sd_event_source_disable_unref(script->timer);
    /* Its answers are still to come, and find nobody. */
    if (script->qmp)
        qmp_forget(script->qmp, script);
    g_ptr_array_unref(script->steps);
    sd_event_unref(script->event);
    g_free(script->job_id);
    g_free(script);
}

/* ---- steps ---- */

static void add_step(Script *script, const char *command, json_t *arguments, int fd, bool job)
{
    Step *step = g_new(Step, 1);
    *step = (Step){.command = g_strdup(command), .arguments = arguments ?: json_object(), .fd = fd, .job = job};
    g_ptr_array_add(script->steps, step);
}

void script_add_call(Script *script, const char *command, json_t *arguments)
{
    add_step(script, command, arguments, -1, false);
}

void script_add_question(Script *script, const char *command, json_t *arguments, ScriptAnswer answer, void *userdata)
{
    add_step(script, command, arguments, -1, false);
    Step *step = script->steps->pdata[script->steps->len - 1];
    step->answer = answer;
    step->userdata = userdata;
}

void script_add_actions(Script *script, json_t *actions)
{
    if (json_array_size(actions) > 0)
        script_add_call(script, "transaction", json_pack("{sO}", "actions", actions));
    json_decref(actions);
}

void script_add_job(Script *script, const char *command, json_t *arguments)
{
    json_object_set_new(arguments, "job-id", json_string(script->job_id));
    /* It stays until it was asked why it ended. */
    if (!g_str_equal(command, "blockdev-create"))
        json_object_set_new(arguments, "auto-dismiss", json_false());
    add_step(script, command, arguments, -1, true);
}

void script_add_fd(Script *script, const char *command, json_t *arguments, int fd)
{
    add_step(script, command, arguments, fcntl(fd, F_DUPFD_CLOEXEC, 3), false);
}

void script_add_job_with(Script *script, const char *command, json_t *arguments, ScriptReady ready, void *userdata)
{
    script_add_job(script, command, arguments);
    Step *step = script->steps->pdata[script->steps->len - 1];
    step->ready = ready;
    step->userdata = userdata;
}

void script_add_transaction(Script *script, json_t *actions, const char *type, json_t *job, ScriptAnswer answer, void *userdata)
{
    json_object_set_new(job, "job-id", json_string(script->job_id));
    json_object_set_new(job, "auto-dismiss", json_false());
    json_array_append_new(actions, json_pack("{ss so}", "type", type, "data", job));
    add_step(script, "transaction", json_pack("{so}", "actions", actions), -1, true);
    Step *step = script->steps->pdata[script->steps->len - 1];
    step->answer = answer;
    step->userdata = userdata;
}

void script_add_fds(Script *script, unsigned set, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            script_add_fd(script, "add-fd", json_pack("{si}", "fdset-id", (int) set), fds[i]);
}

static void add_chain(Script *script, const Image *image, const char *name, unsigned depth, const BlockdevOptions *options, unsigned *set)
{
    const int fds[] = {image->fd, image->read_fd};
    if (image->backing)
        add_chain(script, image->backing, name, depth + 1, options, set);
    script_add_fds(script, ++*set, fds, G_N_ELEMENTS(fds));
    script_add_call(script, "blockdev-add", blockdev_file(image, name, depth, *set, options));
    script_add_call(script, "blockdev-add", blockdev_format(image, name, depth, options));
}

void script_add_image(Script *script, const Image *image, const char *name, unsigned *set)
{
    const BlockdevOptions options = {.discard = true};
    add_chain(script, image, name, 0, &options, set);
}

void script_add_image_with(Script *script, const Image *image, const char *name, const BlockdevOptions *options, unsigned *set)
{
    add_chain(script, image, name, 0, options, set);
}

/* ---- the run ---- */

static void end(Script *script, const Error *error)
{
    if (script->ended)
        return;
    script->ended = true;
    script->timer = sd_event_source_disable_unref(script->timer);
    script->done(error, script->userdata);
}

static void next_step(Script *script);

static const Step *current_step(const Script *script)
{
    return script->steps->pdata[script->next - 1];
}

static bool runs_job(const Script *script)
{
    return !script->ended && script->next > 0 && current_step(script)->job;
}

static void on_answer(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Script *script = userdata;
    if (error)
        return end(script, error);
    const Step *step = current_step(script);
    g_autoptr(Error) refused = NULL;
    if (step->answer && !step->answer(result, step->userdata, &refused))
        return end(script, refused);
    if (!step->job)
        next_step(script);
}

static void cannot_ask(Script *script, int r)
{
    g_autoptr(Error) error = NULL;
    error_set_errno(&error, r, current_step(script)->command, "QEMU cannot be asked");
    end(script, error);
}

static void next_step(Script *script)
{
    g_autoptr(Error) error = NULL;
    if (script->cancelled) {
        error_set(&error, ERROR_CANCELLED, NULL, NULL, "it was cancelled");
        return end(script, error);
    }
    if (script->next >= script->steps->len)
        return end(script, NULL);
    Step *step = script->steps->pdata[script->next++];
    int r = qmp_call(script->qmp, step->command, json_incref(step->arguments), step->fd, step->job ? 0 : ANSWER_USEC, on_answer, script);
    close_fd(&step->fd);
    if (r < 0)
        cannot_ask(script, r);
}

static const json_t *our_job(const Script *script, const json_t *jobs)
{
    size_t i;
    json_t *job;
    json_array_foreach((json_t *) jobs, i, job)
        if (g_strcmp0(json_string_value(json_object_get(job, "id")), script->job_id) == 0)
            return job;
    return NULL;
}

static void on_progress(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Script *script = userdata;
    const json_t *job = our_job(script, result);
    json_int_t total = json_integer_value(json_object_get(job, "total-progress"));
    json_int_t done = json_integer_value(json_object_get(job, "current-progress"));
    if (!script->ended && script->progress && total > 0 && done >= 0 && done <= total)
        script->progress((double) done / (double) total, script->userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Script *script = userdata;
    if (runs_job(script))
        (void) qmp_call(script->qmp, "query-jobs", NULL, -1, 0, on_progress, script);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_dismissed(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Script *script = userdata;
    if (error)
        end(script, error);
    else
        next_step(script);
}

/* How a job that has ended did. */
static void on_concluded(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Script *script = userdata;
    const char *cause = json_string_value(json_object_get(our_job(script, result), "error"));
    g_autoptr(Error) error = NULL;
    if (failed)
        return end(script, failed);
    int r = qmp_call(script->qmp, "job-dismiss", json_pack("{ss}", "id", script->job_id), -1, ANSWER_USEC, cause ? NULL : on_dismissed,
        cause ? NULL : script);
    if (cause) {
        /* QEMU has the kernel's words, not its number. */
        bool full = strstr(cause, g_strerror(ENOSPC)) || strstr(cause, g_strerror(EDQUOT));
        g_autofree char *words = g_utf8_make_valid(cause, -1);
        ErrorCode code = script->cancelled ? ERROR_CANCELLED : full ? ERROR_NO_SPACE : ERROR_QEMU_FAILED;
        error_set(&error, code, NULL, NULL, "%.500s", words);
        return end(script, error);
    }
    if (r < 0)
        cannot_ask(script, r);
}

bool script_event(Script *script, const char *name, const json_t *data)
{
    const char *id = json_string_value(json_object_get(data, "id")), *status = json_string_value(json_object_get(data, "status"));
    if (!g_str_equal(name, "JOB_STATUS_CHANGE") || !runs_job(script) || g_strcmp0(id, script->job_id) != 0 || !status)
        return false;
    if (g_str_equal(status, "ready") && current_step(script)->ready)
        current_step(script)->ready(current_step(script)->userdata);
    else if (g_str_equal(status, "ready")) {
        /* A mirror would go on for ever, and is whole when it is stopped now; a commit is to take the place of what it came from. */
        bool mirror = g_str_equal(current_step(script)->command, "blockdev-mirror");
        (void) qmp_call(script->qmp, mirror ? "block-job-cancel" : "job-complete", json_pack("{ss}", mirror ? "device" : "id", script->job_id), -1,
            0, NULL, NULL);
    } else if (g_str_equal(status, "concluded"))
        (void) qmp_call(script->qmp, "query-jobs", NULL, -1, ANSWER_USEC, on_concluded, script);
    return true;
}

void script_cancel(Script *script)
{
    script->cancelled = true;
    if (runs_job(script))
        (void) qmp_call(script->qmp, "job-cancel", json_pack("{ss}", "id", script->job_id), -1, 0, NULL, NULL);
}

void script_run(Script *script, Qmp *qmp, ScriptDone done, ScriptProgress progress, void *userdata)
{
    script->qmp = qmp;
    script->done = done;
    script->progress = progress;
    script->userdata = userdata;
    (void) sd_event_add_time_relative(script->event, &script->timer, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_timer, script);
    next_step(script);
}
