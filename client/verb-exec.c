/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exec: a command in the guest, by its guest agent. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "io.h"
#include "report.h"
#include "terminal.h"
#include "value.h"
#include "verb.h"
#include "wait.h"

/* What vmd passes on. */
#define INPUT_MAX (512 * 1024)
#define BASH_SIGNAL 128

typedef struct Execution {
    Client *client;
    const char *vm;
    Wait *wait;
    sd_bus_message *message;
    sd_bus_slot *call;
    bool over;
    int status; /* exit code */
} Execution;

static void execution_clear(Execution *execution)
{
    sd_bus_slot_unref(execution->call);
    sd_bus_message_unref(execution->message);
    wait_free(execution->wait);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Execution, execution_clear)

static bool is_over(const void *userdata)
{
    return ((const Execution *) userdata)->over;
}

static void end(Execution *execution, int status)
{
    execution->over = true;
    execution->status = status;
}

static void on_signal(void *userdata)
{
    const Execution *execution = userdata;
    (void) report("VM \"%s\": no longer waiting; the command goes on in the guest", execution->vm);
    end(userdata, EXIT_INTERRUPTED);
}

/* What a guest prints must not drive the terminal; anything else gets every byte. */
static int put(FILE *file, const void *data, size_t size)
{
    if (!isatty(fileno(file)))
        return io_write_all(fileno(file), data, size);
    g_autofree char *text = g_strndup("", size);
    memcpy(text, data, size);
    for (size_t i = 0; i < size; i++)
        if (!text[i])
            text[i] = ' ';
    g_autofree char *clean = terminal_clean(text);
    return io_write_all(fileno(file), clean, strlen(clean));
}

typedef struct Result {
    bool killed;
    int64_t status;
    const void *output, *errors; /* the message's */
    size_t output_size, errors_size;
    int output_truncated, errors_truncated;
} Result;

static int read_value(sd_bus_message *m, const char *key, Result *result)
{
    result->killed |= strcmp(key, "signal") == 0;
    if (strcmp(key, "exit-status") == 0 || strcmp(key, "signal") == 0)
        return sd_bus_message_read(m, "v", "x", &result->status);
    if (strcmp(key, "output-truncated") == 0)
        return sd_bus_message_read(m, "v", "b", &result->output_truncated);
    if (strcmp(key, "errors-truncated") == 0)
        return sd_bus_message_read(m, "v", "b", &result->errors_truncated);
    bool output = strcmp(key, "output") == 0;
    if (!output && strcmp(key, "errors") != 0)
        return sd_bus_message_skip(m, "v");
    int r = sd_bus_message_enter_container(m, 'v', "ay");
    if (r >= 0)
        r = output ? sd_bus_message_read_array(m, 'y', &result->output, &result->output_size)
                   : sd_bus_message_read_array(m, 'y', &result->errors, &result->errors_size);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_result(sd_bus_message *m, Result *result)
{
    const char *key;
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = sd_bus_message_read(m, "s", &key);
        if (r >= 0)
            r = read_value(m, key, result);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r;
}

/* A number that no process of Linux ends with stays a failure. */
static int exit_code(const Result *result)
{
    if (result->killed)
        return BASH_SIGNAL + (int) result->status;
    return result->status >= 0 && result->status < 256 ? (int) result->status : EXIT_NOT_EXECUTED;
}

static int show(const Execution *execution, sd_bus_message *m)
{
    Result result = {};
    int r = read_result(m, &result);
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    r = put(stdout, result.output, result.output_size);
    if (r >= 0)
        r = put(stderr, result.errors, result.errors_size);
    if (r < 0)
        return report_errno(r, "what the command has printed: it cannot be written");
    if (result.output_truncated || result.errors_truncated)
        (void) report("VM \"%s\": the command has printed more than its guest agent keeps: the end of %s is missing", execution->vm,
            !result.errors_truncated ? "its output" : !result.output_truncated ? "its errors" : "both output and errors");
    if (result.killed)
        note(execution->client, "VM \"%s\": the command was ended by signal %d (%s)", execution->vm, (int) result.status, strsignal((int) result.status));
    return exit_code(&result);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Execution *execution = userdata;
    if (!sd_bus_message_is_method_error(m, NULL))
        end(execution, show(execution, m));
    else {
        (void) report_bus(execution->client, execution->vm, sd_bus_message_get_error(m), -sd_bus_message_get_errno(m));
        end(execution, EXIT_NOT_EXECUTED);
    }
    return 0;
}

/* The caller frees; NULL, and reported. */
static void *read_input(const Client *client, size_t *ret_size)
{
    g_autofree char *input = g_malloc(INPUT_MAX + 1);
    ssize_t n = client->no_input || isatty(STDIN_FILENO) ? 0 : io_read_all(STDIN_FILENO, input, INPUT_MAX + 1);
    if (n < 0)
        (void) report_errno((int) n, "stdin: it cannot be read");
    else if (n > INPUT_MAX)
        (void) report("stdin: it has more than the %d KiB that a guest agent is given. Copy it into the guest as a file (vmctl cp)", INPUT_MAX / 1024);
    if (n < 0 || n > INPUT_MAX)
        return NULL;
    *ret_size = (size_t) n;
    return g_steal_pointer(&input);
}

static int make_call(Execution *execution, const void *input, size_t size, uint64_t timeout)
{
    Client *client = execution->client;
    int r = client_new_call(client, execution->vm, VM_INTERFACE, "ExecuteInGuest", &execution->message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append_strv(execution->message, client->arguments + 1);
    if (k >= 0)
        k = sd_bus_message_append_array(execution->message, 'y', input, size);
    if (k >= 0)
        k = sd_bus_message_open_container(execution->message, 'a', "{sv}");
    if (k >= 0 && client->timeout)
        k = sd_bus_message_append(execution->message, "{sv}", "timeout", "t", timeout);
    if (k >= 0)
        k = sd_bus_message_close_container(execution->message);
    return k < 0 ? report_errno(k, "ExecuteInGuest: cannot make the call") : EXIT_DONE;
}

int verb_exec(Client *client)
{
    static const WaitEvents events = {.on_signal = on_signal};
    g_auto(Execution) execution = {.client = client, .vm = client->arguments[0]};
    uint64_t timeout = 0;
    size_t size;
    if (client->timeout && (parse_duration(client->timeout, &timeout) < 0 || timeout == 0))
        return report_usage("--timeout=%s: it is a time such as 30s or 2min", client->timeout);
    for (char **word = client->arguments + 1; *word; word++)
        if (!g_utf8_validate(*word, -1, NULL))
            return report_usage("exec: the command is no UTF-8");
    g_autofree void *input = read_input(client, &size);
    if (!input)
        return EXIT_NOT_EXECUTED;
    int r = make_call(&execution, input, size, timeout);
    execution.wait = r == EXIT_DONE ? wait_new(client, &events, &execution) : NULL;
    if (!execution.wait)
        return EXIT_NOT_EXECUTED;
    int k = sd_bus_call_async(client->bus, &execution.call, execution.message, on_answer, &execution, CALL_TIMEOUT);
    if (k >= 0)
        k = wait_until(execution.wait, is_over);
    if (k >= 0)
        return execution.status;
    (void) report_errno(k, "vmd: the connection to it broke off");
    return EXIT_NOT_EXECUTED;
}
