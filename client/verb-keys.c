/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* send-keys, type: what somebody in front of the screen would do. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "job.h"
#include "report.h"
#include "value.h"
#include "verb.h"

/* More than vmd types. */
#define TEXT_MAX (64U * 1024U)

static const JobKind type_kind = {"VM", "typing", "typing", "what was typed stays"};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)

/* "ctrl-alt-f2" is pressed at once. */
static int send_chord(Client *client, const char *name, const char *chord)
{
    g_autoptr(sd_bus_message) message = NULL;
    g_auto(GStrv) keys = g_strsplit_set(strcmp(chord, "-") == 0 ? "minus" : chord, "-+", -1);
    for (size_t i = 0; keys[i]; i++)
        if (!*keys[i])
            return report_usage("send-keys: \"%s\": a key is missing; those of - and + are called minus and shift-equal", chord);
    int r = client_new_call(client, name, VM_INTERFACE, "SendKeys", &message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append_strv(message, keys);
    if (k < 0)
        return report_errno(k, "SendKeys: cannot make the call");
    return client_send(client, name, message, NULL);
}

int verb_send_keys(Client *client)
{
    int r = EXIT_DONE;
    for (size_t i = 1; r == EXIT_DONE && i < client->n_arguments; i++)
        r = send_chord(client, client->arguments[0], client->arguments[i]);
    return r;
}

static char *read_stdin(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n = 0;
    while (text->len <= TEXT_MAX && ((n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0)
            g_string_append_len(text, buffer, n);
    if (n < 0) {
        (void) report_errno(errno, "stdin: it cannot be read");
        return NULL;
    }
    if (text->len > TEXT_MAX) {
        (void) report("stdin: it has more than can be typed. Type it in parts");
        return NULL;
    }
    if (!g_utf8_validate_len(text->str, text->len, NULL)) {
        (void) report("stdin: what it says is no UTF-8");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&text), false);
}

static int make_call(Client *client, const char *text, uint64_t interval, JobCall *ret)
{
    ret->pool = g_strdup(client->arguments[0]);
    int r = client_new_call(client, client->arguments[0], VM_INTERFACE, "TypeText", &ret->message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append(ret->message, "s", text);
    if (k >= 0)
        k = sd_bus_message_open_container(ret->message, 'a', "{sv}");
    if (k >= 0 && client->layout)
        k = sd_bus_message_append(ret->message, "{sv}", "layout", "s", client->layout);
    if (k >= 0 && interval > 0)
        k = sd_bus_message_append(ret->message, "{sv}", "interval", "t", interval);
    if (k >= 0)
        k = sd_bus_message_close_container(ret->message);
    return k < 0 ? report_errno(k, "TypeText: cannot make the call") : EXIT_DONE;
}

int verb_type(Client *client)
{
    uint64_t interval = 0;
    if (client->interval && (parse_duration(client->interval, &interval) < 0 || interval == 0))
        return report_usage("--interval=%s: that is no time, such as 50ms", client->interval);
    bool from_stdin = client->n_arguments == 1 || (client->n_arguments == 2 && strcmp(client->arguments[1], "-") == 0);
    g_autofree char *text = from_stdin ? read_stdin() : g_strjoinv(" ", client->arguments + 1);
    g_auto(JobCall) call = {};
    if (!text)
        return EXIT_FAILED;
    if (!g_utf8_validate(text, -1, NULL))
        return report_usage("type: the text is no UTF-8");
    int r = make_call(client, text, interval, &call);
    return r == EXIT_DONE ? job_perform(client, &type_kind, &call, 1) : r;
}
