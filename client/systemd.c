/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "systemd.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "json.h"
#include "report.h"
#include "terminal.h"

int systemd_call(Client *client, const char *method, sd_bus_message **ret_reply, const char *types, ...)
{
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    g_autoptr(sd_bus_message) message = NULL;
    va_list ap;

    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_new_method_call(
            client->bus, &message, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, method);
    va_start(ap, types);
    if (r >= 0 && types)
        r = sd_bus_message_appendv(message, types, ap);
    va_end(ap);
    if (r >= 0)
        r = sd_bus_call(client->bus, message, CALL_TIMEOUT, &error, ret_reply);
    if (r >= 0)
        return EXIT_DONE;
    (void) report("systemd: %s", error.message ? error.message : g_strerror(-r));
    return report_exit_code(error.name);
}

char *systemd_unit_file_state(Client *client, const char *unit)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *state;
    if (sd_bus_call_method(client->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE,
                "GetUnitFileState", NULL, &reply, "s", unit) < 0 ||
            sd_bus_message_read(reply, "s", &state) < 0)
        return g_strdup("");
    return g_strdup(state);
}

json_t *systemd_get_unit(Client *client, const char *unit, const char *interface)
{
    g_autoptr(sd_bus_message) reply = NULL, properties = NULL;
    g_autofree char *name = g_strconcat("org.freedesktop.systemd1.", interface, NULL);
    const char *path;
    int r;
    if (sd_bus_call_method(client->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "GetUnit",
                NULL, &reply, "s", unit) < 0 ||
            sd_bus_message_read(reply, "o", &path) < 0 ||
            sd_bus_call_method(client->bus, SYSTEMD_NAME, path, "org.freedesktop.DBus.Properties", "GetAll",
                    NULL, &properties, "s", name) < 0)
        return NULL;
    return json_from_message(properties, &r);
}

typedef struct Process {
    char *group;
    uint32_t pid;
    char *command;
} Process;

static void process_free(gpointer data)
{
    Process *process = data;
    g_free(process->group);
    g_free(process->command);
    g_free(process);
}

static int compare_processes(const void *a, const void *b)
{
    const Process *p = *(Process *const *) a, *q = *(Process *const *) b;
    int r = strcmp(p->group, q->group);
    return r != 0 ? r : (p->pid > q->pid) - (p->pid < q->pid);
}

static GPtrArray *get_processes(Client *client, const char *unit)
{
    g_autoptr(sd_bus_message) reply = NULL;
    GPtrArray *processes = g_ptr_array_new_with_free_func(process_free);
    const char *group, *command;
    uint32_t pid;
    int r = sd_bus_call_method(client->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE,
            "GetUnitProcesses", NULL, &reply, "s", unit);
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(sus)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(sus)", &group, &pid, &command)) > 0) {
        Process *process = g_new0(Process, 1);
        *process = (Process){g_strdup(group), pid, terminal_clean(command)};
        g_strdelimit(process->command, "\n\t", ' ');
        g_ptr_array_add(processes, process);
    }
    g_ptr_array_sort(processes, compare_processes);
    return processes;
}

void systemd_print_processes(
        Client *client, const char *unit, const char *group, const char *label, size_t columns)
{
    g_autoptr(GPtrArray) processes = get_processes(client, unit);
    int indent = (int) strlen(label) + 1;
    const char *last = group;
    unsigned digits = 1;

    printf("%s %s%s%s\n", label, terminal_style(stdout, STYLE_DIM), group,
            terminal_normal(stdout, STYLE_DIM));
    for (guint i = 0; i < processes->len; i++) {
        g_autofree char *number = g_strdup_printf("%u", ((Process *) processes->pdata[i])->pid);
        digits = MAX(digits, (unsigned) strlen(number));
    }
    for (guint i = 0; i < processes->len; i++) {
        const Process *process = processes->pdata[i];
        size_t room = columns > (size_t) indent + digits + 3 ? columns - (size_t) indent - digits - 3 : 0;
        g_autofree char *command = terminal_ellipsize(process->command, room);
        /* A group within the scope has a heading of its own. */
        if (strcmp(process->group, last) != 0) {
            size_t prefix = strlen(group);
            printf("%*s%s%s\n", indent, "", "  ",
                    strncmp(process->group, group, prefix) == 0 ? process->group + prefix : process->group);
            last = process->group;
        }
        printf("%*s%s%s%*u %s%s\n", indent, "", terminal_style(stdout, STYLE_DIM),
                i + 1 < processes->len ? "├─" : "└─", (int) digits, process->pid, command,
                terminal_normal(stdout, STYLE_DIM));
    }
}

typedef struct Jobs {
    Client *client;
    GHashTable *pending; /* path of the job to unit */
    GHashTable *ended;   /* path to result, of jobs not known yet */
    const char *doing;
    int exit;
} Jobs;

static void job_ended(Jobs *jobs, const char *unit, const char *result)
{
    if (strcmp(result, "done") == 0 || strcmp(result, "skipped") == 0)
        return;
    jobs->exit = report("%s: %s ended with \"%s\". See: systemctl%s status %s", unit, jobs->doing, result,
            client_hint_options(jobs->client), unit);
}

static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Jobs *jobs = userdata;
    const char *path, *unit, *result;
    if (sd_bus_message_read(m, "uoss", NULL, &path, &unit, &result) < 0)
        return 0;
    if (g_hash_table_remove(jobs->pending, path))
        job_ended(jobs, unit, result);
    else
        g_hash_table_insert(jobs->ended, g_strdup(path), g_strdup(result));
    return 0;
}

int systemd_run_jobs(Client *client, const char *method, char **units)
{
    g_autoptr(GHashTable) pending = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) ended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    Jobs jobs = {
            client, pending, ended, strcmp(method, "StartUnit") == 0 ? "its start" : "its stop", EXIT_DONE};
    g_autoptr(sd_bus_slot) slot = NULL;

    int r = sd_bus_match_signal(client->bus, &slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE,
            "JobRemoved", on_job_removed, &jobs);
    if (r < 0)
        return report_errno(r, "systemd: cannot watch its jobs");
    r = systemd_call(client, "Subscribe", NULL, NULL);
    if (r != EXIT_DONE)
        return r;
    for (char **unit = units; *unit; unit++) {
        g_autoptr(sd_bus_message) reply = NULL;
        const char *path;
        r = systemd_call(client, method, &reply, "ss", *unit, "replace");
        if (r != EXIT_DONE) {
            jobs.exit = jobs.exit == EXIT_DONE ? r : jobs.exit;
            continue;
        }
        if (sd_bus_message_read(reply, "o", &path) < 0)
            return report("systemd: its answer has no job");
        const char *result = g_hash_table_lookup(ended, path);
        if (result)
            job_ended(&jobs, *unit, result);
        else
            g_hash_table_insert(pending, g_strdup(path), *unit);
    }
    while (g_hash_table_size(pending) > 0) {
        r = sd_bus_process(client->bus, NULL);
        if (r == 0)
            r = sd_bus_wait(client->bus, UINT64_MAX);
        if (r < 0)
            return report_errno(r, "the bus: it broke off");
    }
    return jobs.exit;
}
