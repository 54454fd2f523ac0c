/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status: how a VM, or vmd itself, is doing, as systemctl status draws it. */
#include <math.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "addresses.h"
#include "connect.h"
#include "journal.h"
#include "json.h"
#include "kind.h"
#include "name.h"
#include "pager.h"
#include "report.h"
#include "systemd.h"
#include "terminal.h"
#include "timestamp.h"
#include "usage.h"
#include "value.h"
#include "verb.h"

#define LABEL "%12s: "

/* A guest that is asked how it does with its memory needs some milliseconds. */
#define GUEST_ANSWER_USEC 150000

static void print_styled(Style style, const char *text)
{
    printf("%s%s%s", terminal_style(stdout, style), text, terminal_normal(stdout, style));
}

static void print_dot(const char *state)
{
    const char *dot = strcmp(state, "failed") == 0                                   ? "×"
                      : strcmp(state, "stopped") == 0 || strcmp(state, "saved") == 0 ? "○"
                                                                                     : "●";
    print_styled(terminal_state_style(state), dot);
}

/* "/etc/vmd/web.vm; enabled", and the drop-ins below. */
static void print_loaded(Client *client, const char *name, const json_t *vm)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autofree char *service = name_to_service(name), *file_state = systemd_unit_file_state(client, service);
    const char *path, *text;
    unsigned n = 0;

    printf(LABEL "%s", "Loaded", json_get_string(vm, "SettingsFile"));
    if (json_get_bool(vm, "Transient"))
        printf("; transient");
    else if (*file_state) {
        printf("; ");
        print_styled(strcmp(file_state, "enabled") == 0 ? STYLE_GOOD : STYLE_NONE, file_state);
    }
    putchar('\n');

    g_autofree char *object = name_to_vm_path(name);
    int r = sd_bus_call_method(client->bus, BUS_NAME, object, VM_INTERFACE, "GetFiles", NULL, &reply, NULL);
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &path, &text)) > 0)
        if (n++ > 0)
            printf(n == 2 ? LABEL "%s\n" : "%14.0s%s\n", n == 2 ? "Drop-In" : "", path);
}

/* QEMU's words, and those of a file that cannot be used, may be many lines. */
static void print_words(const char *label, const char *text)
{
    g_autofree char *clean = terminal_clean(text);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(clean), "\n", -1);
    for (size_t i = 0; *text && lines[i]; i++)
        printf(i == 0 ? LABEL "%s\n" : "%14.0s%s\n", i == 0 ? label : "", lines[i]);
}

/* "Lost: swtpm was killed by signal 9 (Killed)": what the guest goes on without. */
static void print_lost(const json_t *vm)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "Helpers"), i, row)
    {
        const char *message = json_string_value(json_array_get(row, 2));
        g_autofree char *clean = message && *message ? terminal_clean(message) : NULL;
        if (!clean)
            continue;
        printf(LABEL "%s: ", "Lost", json_string_value(json_array_get(row, 0)));
        print_styled(STYLE_WARN, clean);
        putchar('\n');
    }
}

/* "USB: stick at 1-2", and "USB: stick is missing: it is not plugged in". */
static void print_usb(const json_t *vm)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "USBDevices"), i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0)), *port = json_string_value(json_array_get(row, 1));
        const char *problem = json_string_value(json_array_get(row, 2));
        g_autofree char *clean = terminal_clean(problem ? problem : ""), *missing = g_strdup_printf("%s is missing: %s", name, clean);
        printf(LABEL, "USB");
        if (port && *port)
            printf("%s at %s", name, port);
        else
            print_styled(STYLE_WARN, missing);
        putchar('\n');
    }
}

static void print_state(const json_t *vm)
{
    const char *state = json_get_string(vm, "State"), *reason = json_get_string(vm, "StateReason");
    uint64_t since = json_get_number(vm, "StateChangeTimestamp");

    printf(LABEL, "State");
    print_styled(terminal_state_style(state), state);
    if (*reason && strcmp(reason, "none") != 0)
        printf(" (%s)", reason);
    if (since > 0) {
        g_autofree char *when = timestamp_format(since), *ago = timestamp_format_relative(since);
        printf(" since %s; %s", when, ago);
    }
    putchar('\n');
    print_words("Message", json_get_string(vm, "StateMessage"));
    print_words("Problem", json_get_string(vm, "Problem"));
    print_lost(vm);
    print_usb(vm);
    if (json_get_bool(vm, "NeedsRestart")) {
        printf(LABEL, "Settings");
        print_styled(STYLE_WARN, "changed since the start; they hold from the next start on");
        putchar('\n');
    }
}

static bool has_number(const json_t *object, const char *key)
{
    return json_is_integer(json_object_get(object, key));
}

/* "CPUs: 2; 3.4s used" and "Memory: 2G; 312.4M used (max: 4G)": the scope's share from systemd. */
static void print_resources(const json_t *vm, const json_t *scope)
{
    g_autofree char *memory = format_size_human(json_get_number(vm, "Memory"));
    printf(LABEL "%" PRIu64, "CPUs", json_get_number(vm, "CPUs"));
    if (has_number(scope, "CPUUsageNSec"))
        printf("; %.3fs used", (double) json_get_number(scope, "CPUUsageNSec") / 1e9);
    printf("\n" LABEL "%s", "Memory", memory);
    if (has_number(scope, "MemoryCurrent")) {
        g_autofree char *current = format_size_human(json_get_number(scope, "MemoryCurrent"));
        printf("; %s used", current);
    }
    if (has_number(scope, "MemoryMax")) {
        g_autofree char *max = format_size_human(json_get_number(scope, "MemoryMax"));
        printf(" (max: %s)", max);
    }
    putchar('\n');
    if (has_number(scope, "TasksCurrent"))
        printf(LABEL "%" PRIu64 "\n", "Tasks", json_get_number(scope, "TasksCurrent"));
}

/* What GetStatistics() says; NULL where it says nothing. */
static json_t *read_statistics(Client *client, const char *name)
{
    g_autofree char *path = kind_object(client_kind(client), name);
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_call_method(client->bus, BUS_NAME, path, client_kind(client)->interface, "GetStatistics", &error, &reply, NULL);
    return r < 0 ? NULL : json_from_message(reply, &r);
}

/* "Guest: uses 150M of 223M": its own word. A guest that nobody has asked lately answers a moment later. */
static void print_guest_memory(Client *client, const char *name, const json_t *vm)
{
    g_autoptr(json_t) statistics = read_statistics(client, name);
    if (statistics && !json_object_get(statistics, "guest") && json_object_get(statistics, "balloon") && strcmp(json_get_string(vm, "State"), "running") == 0) {
        g_usleep(GUEST_ANSWER_USEC);
        json_decref(statistics);
        statistics = read_statistics(client, name);
    }
    double used = usage_of_guest(statistics);
    if (isnan(used))
        return;
    g_autofree char *size = format_size_human((uint64_t) used), *total = format_size_human(json_get_number(json_object_get(statistics, "guest"), "total"));
    printf(LABEL "uses %s of %s\n", "Guest", size, total);
}

/* "Address: 192.168.100.2 (lan, lease)", and more below. */
static void print_addresses(const json_t *vm)
{
    g_autoptr(json_t) addresses = addresses_to_json(json_object_get(vm, "Addresses"));
    bool first = true;
    size_t i;
    json_t *row;
    json_array_foreach(addresses, i, row)
    {
        if (!*json_get_string(row, "address"))
            continue;
        printf(first ? LABEL : "%14.0s", first ? "Address" : "");
        printf("%s (%s, %s)\n", json_get_string(row, "address"), json_get_string(row, "interface"),
                json_get_string(row, "source"));
        first = false;
    }
}

/* Its number, where it has none. */
static char *user_name(uint64_t uid)
{
    const struct passwd *account = uid == UINT32_MAX ? NULL : getpwuid((uid_t) uid);
    return account ? g_strdup(account->pw_name) : g_strdup_printf("%" PRIu64, uid);
}

/* "#1 alice by SPICE, PID 812, since Sat 2026-11-21 23:04:00 UTC" */
static void print_viewers(const json_t *vm)
{
    static const char *const protocols[][2] = {{"spice", "SPICE"}, {"vnc", "VNC"}, {"dbus", "D-Bus"}};
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "DisplayClients"), i, row)
    {
        uint64_t uid = (uint64_t) json_integer_value(json_array_get(row, 2)), pid = (uint64_t) json_integer_value(json_array_get(row, 3));
        const char *type = json_string_value(json_array_get(row, 1)) ?: "";
        for (size_t j = 0; j < G_N_ELEMENTS(protocols); j++)
            if (strcmp(type, protocols[j][0]) == 0)
                type = protocols[j][1];
        const char *address = json_string_value(json_array_get(row, 6)) ?: "";
        g_autofree char *user = *address ? g_strdup(address) : user_name(uid);
        g_autofree char *since = timestamp_format((uint64_t) json_integer_value(json_array_get(row, 4)));
        printf(i == 0 ? LABEL : "%14.0s", i == 0 ? "Viewers" : "");
        printf("#%" JSON_INTEGER_FORMAT " %s by %s", json_integer_value(json_array_get(row, 0)), user, type);
        if (pid > 0)
            printf(", PID %" PRIu64, pid);
        printf(", since %s\n", since);
    }
}

/* "#1 by alice, 0951:1666 Maker Stick, since Sat 2026-11-21 23:04:00 UTC" */
static void print_lent(const json_t *vm)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "USBRedirections"), i, row)
    {
        g_autofree char *user = user_name((uint64_t) json_integer_value(json_array_get(row, 1)));
        g_autofree char *since = timestamp_format((uint64_t) json_integer_value(json_array_get(row, 2)));
        g_autofree char *name = terminal_clean(json_string_value(json_array_get(row, 3)) ?: "");
        printf(i == 0 ? LABEL : "%14.0s", i == 0 ? "USB lent" : "");
        printf("#%" JSON_INTEGER_FORMAT " by %s%s%s, since %s\n", json_integer_value(json_array_get(row, 0)), user, *name ? ", " : "", name, since);
    }
}

static void print_runtime(Client *client, const char *name, const json_t *vm, size_t columns)
{
    const char *unit = json_get_string(vm, "Unit"), *reason = json_get_string(vm, "AcceleratorReason");
    g_autoptr(json_t) scope = systemd_get_unit(client, unit, "Scope");

    printf(LABEL "%s\n", "Unit", unit);
    printf(LABEL "%" PRIu64 "\n", "Leader", json_get_number(vm, "Leader"));
    const char *root = json_get_string(vm, "QEMURoot");
    if (*json_get_string(vm, "QEMUBinary"))
        printf(LABEL "%s (%s%s%s, PID %" PRIu64 ")\n", "QEMU", json_get_string(vm, "QEMUVersion"),
                json_get_string(vm, "QEMUBinary"), *root ? " of " : "", root, json_get_number(vm, "QEMUProcess"));
    if (*json_get_string(vm, "Accelerator"))
        printf(LABEL "%s%s%s%s\n", "Accelerator", json_get_string(vm, "Accelerator"), *reason ? " (" : "",
                reason, *reason ? ")" : "");
    print_resources(vm, scope);
    print_guest_memory(client, name, vm);
    print_addresses(vm);
    if (json_get_bool(vm, "AgentConnected"))
        printf(LABEL "connected\n", "Agent");
    const char *server = json_get_string(vm, "SPICEServer");
    if (g_str_equal(server, "dbus") || g_str_equal(server, "vnc"))
        printf(LABEL "by vmd-spice%s, since this QEMU has none%s\n", "SPICE", *server == 'v' ? " over VNC" : "", json_get_bool(vm, "SPICESound") ? "" : "; without sound");
    if (*json_get_string(vm, "DisplayAddress"))
        printf(LABEL "%s\n", "Screen", json_get_string(vm, "DisplayAddress"));
    print_viewers(vm);
    print_lent(vm);
    if (*json_get_string(scope, "ControlGroup"))
        systemd_print_processes(
                client, unit, json_get_string(scope, "ControlGroup"), "      CGroup:", columns);
}

static int exit_code_of(const char *state)
{
    bool up = strcmp(state, "stopped") != 0 && strcmp(state, "failed") != 0 && strcmp(state, "saved") != 0;
    return up ? EXIT_DONE : EXIT_NOT_RUNNING;
}

/* Root's are the most, and need no word. */
static void print_owner(const json_t *vm)
{
    uint64_t uid = json_get_number(vm, "Owner");
    if (uid == 0 || uid == getuid())
        return;
    const struct passwd *account = uid == UINT32_MAX ? NULL : getpwuid((uid_t) uid);
    if (uid == UINT32_MAX)
        printf(LABEL "%s\n", "Owner", "an account that is gone");
    else if (account)
        printf(LABEL "%s\n", "Owner", account->pw_name);
    else
        printf(LABEL "%" PRIu64 "\n", "Owner", uid);
}

static int status_one(Client *client, const char *name)
{
    g_autoptr(json_t) vm = NULL;
    int r = json_get_properties(client, name, &vm);
    if (r != EXIT_DONE)
        return r;
    const char *state = json_get_string(vm, "State"), *description = json_get_string(vm, "Description");
    r = exit_code_of(state);
    if (client_json(client)) {
        json_print(client, vm);
        return r;
    }
    g_autofree char *clean = terminal_clean(description);
    print_dot(state);
    printf(" %s%s%s\n", name, *clean ? " - " : "", clean);
    print_loaded(client, name, vm);
    print_owner(vm);
    print_state(vm);
    if (json_get_number(vm, "Leader") > 0)
        print_runtime(client, name, vm, client->full ? 0 : terminal_columns());
    else {
        g_autofree char *memory = format_size_human(json_get_number(vm, "Memory"));
        printf(LABEL "%" PRIu64 "\n" LABEL "%s\n", "CPUs", json_get_number(vm, "CPUs"), "Memory", memory);
    }
    if (!client->lines || strcmp(client->lines, "0") != 0) {
        putchar('\n');
        (void) journal_print(client, name, "10");
    }
    return r;
}

static void print_problems(const json_t *manager)
{
    size_t i;
    json_t *problem;
    json_array_foreach(json_object_get(manager, "Problems"), i, problem)
    {
        const char *path = json_string_value(json_array_get(problem, 0));
        const char *reason = json_string_value(json_array_get(problem, 1));
        g_autofree char *clean = terminal_clean(reason);
        printf(i == 0 ? LABEL : "%14.0s", i == 0 ? "Problems" : "");
        printf("%s%s%s%s%s\n", terminal_style(stdout, STYLE_BAD), g_str_has_prefix(clean, path) ? "" : path,
                g_str_has_prefix(clean, path) ? "" : ": ", clean, terminal_normal(stdout, STYLE_BAD));
    }
}

/* "VMs: 3; 2 running, 1 stopped" */
static int print_count(Client *client, const ObjectKind *kind, const char *label)
{
    static const char *const states[] = {
            "running", "paused", "starting", "stopping", "saving", "saved", "failed", "stopped"};
    unsigned counts[G_N_ELEMENTS(states)] = {};
    g_autoptr(json_t) rows = NULL;
    size_t n;
    json_t *row;
    int r = json_call_array(client, NULL, kind->list, &rows);
    if (r != EXIT_DONE)
        return r;
    json_array_foreach(rows, n, row) for (size_t i = 0; i < G_N_ELEMENTS(states); i++) counts[i] +=
            g_strcmp0(states[i], json_string_value(json_array_get(row, 1))) == 0;
    printf(LABEL "%zu", label, json_array_size(rows));
    const char *separator = "; ";
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (counts[i] > 0) {
            printf("%s%u ", separator, counts[i]);
            print_styled(terminal_state_style(states[i]), states[i]);
            separator = ", ";
        }
    putchar('\n');
    return EXIT_DONE;
}

static int status_manager(Client *client)
{
    g_autoptr(json_t) manager = NULL;
    int r = json_get_properties(client, NULL, &manager);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        json_print(client, manager);
        return EXIT_DONE;
    }
    const json_t *problems = json_object_get(manager, "Problems"),
                 *accelerators = json_object_get(manager, "Accelerators");
    const char *reason = json_get_string(manager, "AcceleratorReason");
    bool well = json_array_size(problems) == 0;

    print_styled(well ? STYLE_GOOD : STYLE_WARN, "●");
    printf(" vmd %s\n", json_get_string(manager, "Version"));
    r = print_count(client, &kind_vm, "VMs");
    if (r == EXIT_DONE && !client->user)
        r = print_count(client, &kind_network, "Networks");
    if (r == EXIT_DONE)
        r = print_count(client, &kind_pool, "Pools");
    if (json_array_size(accelerators) > 0) {
        size_t i;
        json_t *word;
        printf(LABEL, "Accelerators");
        json_array_foreach(accelerators, i, word) printf("%s%s", i > 0 ? ", " : "", json_string_value(word));
        printf("%s%s%s\n", *reason ? " (" : "", reason, *reason ? ")" : "");
    }
    print_problems(manager);
    return r;
}

int verb_status(Client *client)
{
    int first = EXIT_DONE;
    pager_open(client->no_pager, client->full);
    if (client->n_arguments == 0)
        return status_manager(client);
    for (size_t i = 0; i < client->n_arguments; i++) {
        if (i > 0 && !client_json(client))
            putchar('\n');
        int r = status_one(client, client->arguments[i]);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}
