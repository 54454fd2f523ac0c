/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "execute.h"

#include <string.h>
#include <systemd/sd-event.h>

#include "guest-act.h"
#include "value.h"

#define START_USEC (30 * G_USEC_PER_SEC)
#define STATUS_USEC (30 * G_USEC_PER_SEC)

/* From one question to the next; twice as long each time. */
#define FIRST_USEC (10 * 1000)
#define LAST_USEC (500 * 1000)
/* While the guest cannot answer. */
#define STOPPED_USEC (1 * G_USEC_PER_SEC)

typedef struct Execution {
    GuestAct *act;
    json_int_t pid; /* the guest's */
    uint64_t interval, timeout, deadline; /* CLOCK_MONOTONIC */
    ExecuteDone done;
    void *userdata;
} Execution;

static void ask(GuestAct *act, void *userdata);

/* The act is over. */
static void finish(Execution *execution, const ExecuteResult *result, const Error *error)
{
    execution->done(result, error, execution->userdata);
    g_free(execution);
}

static void on_broken(const Error *error, void *userdata)
{
    finish(userdata, NULL, error);
}

static void fail(Execution *execution, const Error *error)
{
    guest_act_end(execution->act);
    finish(execution, NULL, error);
}

/* ---- what it has printed ---- */

/* Of g_base64_decode() anything is Base64. */
static bool is_base64(const char *text, size_t length)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strspn(text, alphabet);
    return length % 4 == 0 && length - n <= 2 && strspn(text + n, "=") == length - n;
}

/* New, the caller frees; NULL with a size of 0 where there is none. */
static bool decode(const json_t *answer, const char *key, guchar **ret, size_t *ret_size)
{
    const json_t *value = json_object_get(answer, key);
    if (!value)
        return true;
    if (!json_is_string(value) || !is_base64(json_string_value(value), json_string_length(value)))
        return false;
    if (json_string_length(value) > 0)
        *ret = g_base64_decode(json_string_value(value), ret_size);
    return true;
}

static bool read_flag(const json_t *answer, const char *key, bool *ret)
{
    const json_t *value = json_object_get(answer, key);
    *ret = json_is_true(value);
    return !value || json_is_boolean(value);
}

/* Either of the two, or (a Windows that does not know) none. */
static bool read_end(const json_t *answer, ExecuteResult *result)
{
    const json_t *code = json_object_get(answer, "exitcode"), *signal = json_object_get(answer, "signal"), *end = signal ? signal : code;
    if ((code && signal) || (end && !json_is_integer(end)))
        return false;
    result->killed = signal;
    result->status = json_integer_value(end);
    return signal ? result->status > 0 && result->status < 256 : result->status >= INT32_MIN && result->status <= UINT32_MAX;
}

static void finish_ended(Execution *execution, const json_t *answer)
{
    g_autofree guchar *output = NULL, *errors = NULL;
    g_autoptr(Error) error = NULL;
    ExecuteResult result = {0};
    if (!read_end(answer, &result) || !read_flag(answer, "out-truncated", &result.output.truncated) ||
        !read_flag(answer, "err-truncated", &result.errors.truncated) || !decode(answer, "out-data", &output, &result.output.size) ||
        !decode(answer, "err-data", &errors, &result.errors.size)) {
        guest_act_nonsense(execution->act, "guest-exec-status", &error);
        return fail(execution, error);
    }
    result.output.data = output;
    result.errors.data = errors;
    guest_act_end(execution->act);
    finish(execution, &result, NULL);
}

/* ---- has it ended ---- */

/* Errors of ours say what is left in the guest. */
static void fail_asking(Execution *execution, const Error *error)
{
    g_autoptr(Error) told = NULL;
    g_autofree char *pid = g_strdup_printf("What it was told to run, PID %" JSON_INTEGER_FORMAT " in the guest, may go on", execution->pid);
    if (error->code == ERROR_LIMIT_REACHED)
        error_set(&told, error->code, error->thing, "Have it write to a file, and fetch that", "the command has ended, and has printed more than the %u MiB that vmd takes",
            AGENT_LINE_MAX / 1024 / 1024 * 3 / 4);
    else if (error->code == ERROR_FAILED)
        error_set(&told, error->code, error->thing, pid, "its guest agent does not know any more what it was told to run, as when it was restarted: %s", error->cause);
    else
        error_set(&told, error->code, error->thing, error->remedy ?: pid, "%s", error->cause);
    fail(execution, told);
}

static void ask_later(Execution *execution, uint64_t interval)
{
    uint64_t now = (uint64_t) g_get_monotonic_time();
    const VM *vm = guest_act_vm(execution->act);
    g_autofree char *thing = vm_thing(vm), *waited = NULL;
    g_autoptr(Error) error = NULL;
    int r;
    if (now >= execution->deadline) {
        waited = format_duration(execution->timeout);
        error_set(&error, ERROR_TIMED_OUT, thing, NULL, "the command has not ended within %s, and goes on in the guest (PID %" JSON_INTEGER_FORMAT " there)",
            waited, execution->pid);
    } else if ((r = guest_act_wait(execution->act, MIN(interval, execution->deadline - now), ask)) < 0)
        error_set_errno(&error, r, thing, "the command cannot be waited for");
    if (error)
        fail(execution, error);
}

static void on_status(GuestAct *act, const json_t *result, const Error *error, void *userdata)
{
    Execution *execution = userdata;
    const json_t *exited = json_object_get(result, "exited");
    g_autoptr(Error) nonsense = NULL;
    /* Paused or frozen meanwhile. */
    bool stopped = error && error->code == ERROR_GUEST_UNRESPONSIVE && !guest_act_can_ask(act);
    if (error && !stopped)
        return fail_asking(execution, error);
    if (!error && !json_is_boolean(exited)) {
        guest_act_nonsense(act, "guest-exec-status", &nonsense);
        return fail_asking(execution, nonsense);
    }
    if (json_is_true(exited))
        return finish_ended(execution, result);
    execution->interval = MIN(execution->interval * 2, LAST_USEC);
    ask_later(execution, execution->interval);
}

static void ask(GuestAct *act, void *userdata)
{
    Execution *execution = userdata;
    g_autoptr(Error) error = NULL;
    if (!guest_act_can_ask(act))
        return ask_later(execution, STOPPED_USEC);
    if (!guest_act_ask(act, "guest-exec-status", json_pack("{sI}", "pid", execution->pid), STATUS_USEC, on_status, &error))
        fail_asking(execution, error);
}

/* ---- the beginning ---- */

static void on_begun(GuestAct *act, const json_t *result, const Error *error, void *userdata)
{
    Execution *execution = userdata;
    const json_t *pid = json_object_get(result, "pid");
    g_autoptr(Error) nonsense = NULL;
    if (!error && (!json_is_integer(pid) || json_integer_value(pid) < 0))
        guest_act_nonsense(act, "guest-exec", &nonsense);
    if (error || nonsense)
        return fail(execution, error ?: nonsense);
    execution->pid = json_integer_value(pid);
    ask_later(execution, execution->interval);
}

static json_t *words(char **strings)
{
    json_t *array = json_array();
    for (char **s = strings; s && *s; s++)
        (void) json_array_append_new(array, json_string(*s));
    return array;
}

static json_t *make_arguments(const ExecuteWish *wish)
{
    json_t *arguments = json_pack("{ss so sb}", "path", wish->command[0], "arg", words(wish->command + 1), "capture-output", true);
    if (wish->environment)
        (void) json_object_set_new(arguments, "env", words(wish->environment));
    if (wish->input_size > 0) {
        g_autofree char *input = g_base64_encode(wish->input, wish->input_size);
        (void) json_object_set_new(arguments, "input-data", json_string(input));
    }
    return arguments;
}

bool vm_execute(VM *vm, const ExecuteWish *wish, ExecuteDone done, void *userdata, Error **ret_error)
{
    Execution *execution = g_new(Execution, 1);
    uint64_t now = (uint64_t) g_get_monotonic_time();
    *execution = (Execution){
        .interval = FIRST_USEC,
        .timeout = wish->timeout,
        .deadline = wish->timeout > USEC_INFINITY - now ? USEC_INFINITY : now + wish->timeout,
        .done = done,
        .userdata = userdata,
    };
    execution->act = guest_act_new(vm, wish->caller, false, on_broken, execution, ret_error);
    if (execution->act && guest_act_ask(execution->act, "guest-exec", make_arguments(wish), START_USEC, on_begun, ret_error))
        return true;
    if (execution->act)
        guest_act_end(execution->act);
    g_free(execution);
    return false;
}
