/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, jobs, qemu: tables of what there is. */
#include <fnmatch.h>
#include <string.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "value.h"
#include "verb.h"

static bool is_wanted(const Client *client, const char *name, const char *state)
{
    if (client->state && strcmp(client->state, state) != 0)
        return false;
    for (size_t i = 0; i < client->n_arguments; i++)
        if (fnmatch(client->arguments[i], name, 0) == 0)
            return true;
    return client->n_arguments == 0;
}

/* A file that cannot be used is no VM; a person would miss it in silence. */
static void hint_problems(Client *client)
{
    g_autoptr(sd_bus_message) reply = NULL;
    unsigned n = 0;
    if (client->no_legend || client->quiet || !(isatty(STDOUT_FILENO) || pager_is_open()))
        return;
    int r = sd_bus_get_property(
            client->bus, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "Problems", NULL, &reply, "a(ss)");
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    while (r >= 0 && (r = sd_bus_message_skip(reply, "(ss)")) > 0)
        n++;
    if (n > 0)
        printf("%u settings %s cannot be used. See: vmctl%s status\n", n, n == 1 ? "file" : "files",
                client_hint_options(client));
}

/* The name and the state alone come with one short answer, which is what a host with many VMs wants. */
static int list_short(Client *client)
{
    static const char *const header[] = {"NAME", "STATE", ">LEADER", NULL};
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(Table) table = table_new(header);
    g_autoptr(json_t) array = client_json(client) ? json_array() : NULL;
    const char *name, *state, *path;
    uint32_t leader;

    int r = client_call(client, NULL, MANAGER_INTERFACE, "ListVMs", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(ssuo)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssuo)", &name, &state, &leader, &path)) > 0) {
        if (!is_wanted(client, name, state))
            continue;
        if (array) {
            json_array_append_new(array, json_pack("{ss ss si ss}", "name", name, "state", state, "leader",
                                                 (int) leader, "path", path));
            continue;
        }
        table_add(table, STYLE_NONE, name);
        table_add(table, terminal_state_style(state), state);
        if (leader > 0)
            table_addf(table, STYLE_NONE, "%u", leader);
        else
            table_add(table, STYLE_NONE, NULL);
    }
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    if (array) {
        json_print(client, array);
        return EXIT_DONE;
    }
    table_print(table, client, client->full, "VM", "VMs");
    hint_problems(client);
    return EXIT_DONE;
}

static void add_full_row(Table *table, const json_t *vm)
{
    const char *state = json_get_string(vm, "State");
    uint64_t leader = json_get_number(vm, "Leader");
    g_autofree char *memory = format_size_human(json_get_number(vm, "Memory"));

    table_add(table, STYLE_NONE, json_get_string(vm, "Name"));
    table_add(table, terminal_state_style(state), state);
    if (leader > 0)
        table_addf(table, STYLE_NONE, "%" PRIu64, leader);
    else
        table_add(table, STYLE_NONE, NULL);
    table_addf(table, STYLE_NONE, "%" PRIu64, json_get_number(vm, "CPUs"));
    table_add(table, STYLE_NONE, memory);
    table_add(table, STYLE_NONE, json_get_string(vm, "Accelerator"));
    table_add(table, STYLE_NONE, json_get_string(vm, "Description"));
}

/* The members that `list` without --full has, and those of the other columns. */
static json_t *new_full_object(const json_t *vm)
{
    static const char *const members[][2] = {
            {"name", "Name"},
            {"state", "State"},
            {"leader", "Leader"},
            {"cpus", "CPUs"},
            {"memory", "Memory"},
            {"accelerator", "Accelerator"},
            {"description", "Description"},
            {"path", "path"},
    };
    json_t *object = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
        (void) json_object_set(object, members[i][0], json_object_get(vm, members[i][1]));
    return object;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(
            json_get_string(*(json_t *const *) a, "Name"), json_get_string(*(json_t *const *) b, "Name"));
}

/* All properties of all VMs. */
static int list_full(Client *client)
{
    static const char *const header[] = {
            "NAME", "STATE", ">LEADER", ">CPUS", ">MEMORY", "ACCELERATOR", "DESCRIPTION", NULL};
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(Table) table = table_new(header);
    g_autoptr(GPtrArray) vms = g_ptr_array_new();
    const char *path;
    json_t *interfaces;

    int r = client_call(
            client, NULL, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) objects = json_from_message(reply, &r);
    if (!objects)
        return report_errno(r, "vmd: cannot read its answer");
    json_object_foreach(objects, path, interfaces)
    {
        json_t *vm = json_object_get(interfaces, VM_INTERFACE);
        if (!vm || !is_wanted(client, json_get_string(vm, "Name"), json_get_string(vm, "State")))
            continue;
        (void) json_object_set_new(vm, "path", json_string(path));
        g_ptr_array_add(vms, vm);
    }
    g_ptr_array_sort(vms, compare_names);
    if (client_json(client)) {
        g_autoptr(json_t) array = json_array();
        for (guint i = 0; i < vms->len; i++)
            json_array_append_new(array, new_full_object(vms->pdata[i]));
        json_print(client, array);
        return EXIT_DONE;
    }
    for (guint i = 0; i < vms->len; i++)
        add_full_row(table, vms->pdata[i]);
    table_print(table, client, false, "VM", "VMs");
    hint_problems(client);
    return EXIT_DONE;
}

int verb_list(Client *client)
{
    if (!client_json(client))
        pager_open(client->no_pager, client->full);
    return client->full ? list_full(client) : list_short(client);
}

/* Calls a method that returns an array of structs, as JSON. */
static int call_array(Client *client, const char *method, json_t **ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = client_call(client, NULL, MANAGER_INTERFACE, method, &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    json_t *array = json_from_message(reply, &r);
    if (!array)
        return report_errno(r, "vmd: cannot read its answer");
    *ret = array;
    return EXIT_DONE;
}

/* An array of arrays as an array of objects whose members are called `keys`. */
static json_t *name_members(const json_t *rows, const char *const *keys)
{
    json_t *array = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_t *object = json_object();
        for (size_t k = 0; keys[k]; k++)
            (void) json_object_set(object, keys[k], json_array_get(row, k));
        (void) json_array_append_new(array, object);
    }
    return array;
}

static const char *member(const json_t *row, size_t index)
{
    return json_string_value(json_array_get(row, index));
}

/* "/org/vmd1/vm/web": what stands at the end, decoded. The caller frees. */
static char *object_label(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    g_autofree char *prefix = slash ? g_strndup(path, (size_t) (slash - path)) : NULL;
    char *label = NULL;
    if (!prefix || sd_bus_path_decode(path, prefix, &label) <= 0)
        return g_strdup(path);
    return label;
}

int verb_jobs(Client *client)
{
    static const char *const keys[] = {"id", "type", "state", "object", "path", NULL};
    static const char *const header[] = {">JOB", "VM", "TYPE", "STATE", NULL};
    g_autoptr(json_t) jobs = NULL;
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *job;

    int r = call_array(client, "ListJobs", &jobs);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        g_autoptr(json_t) named = name_members(jobs, keys);
        json_print(client, named);
        return EXIT_DONE;
    }
    json_array_foreach(jobs, i, job)
    {
        g_autofree char *object = object_label(member(job, 3));
        table_addf(table, STYLE_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(json_array_get(job, 0)));
        table_add(table, STYLE_NONE, object);
        table_add(table, STYLE_NONE, member(job, 1));
        table_add(table, STYLE_NONE, member(job, 2));
    }
    table_print(table, client, client->full, "job", "jobs");
    return EXIT_DONE;
}

int verb_qemu(Client *client)
{
    static const char *const keys[] = {"binary", "version", "target", "capabilities", NULL};
    static const char *const header[] = {"BINARY", "VERSION", "TARGET", "CAPABILITIES", NULL};
    g_autoptr(json_t) builds = NULL;
    g_autoptr(Table) table = table_new(header);
    size_t i, k;
    json_t *build, *word;

    int r = call_array(client, "ListQEMU", &builds);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        g_autoptr(json_t) named = name_members(builds, keys);
        json_print(client, named);
        return EXIT_DONE;
    }
    json_array_foreach(builds, i, build)
    {
        g_autoptr(GString) words = g_string_new(NULL);
        json_array_foreach(json_array_get(build, 3), k, word)
                g_string_append_printf(words, "%s%s", words->len ? " " : "", json_string_value(word));
        table_add(table, STYLE_NONE, member(build, 0));
        table_add(table, STYLE_NONE, member(build, 1));
        table_add(table, STYLE_NONE, member(build, 2));
        table_add(table, STYLE_NONE, words->str);
    }
    table_print(table, client, client->full, "QEMU build", "QEMU builds");
    return EXIT_DONE;
}
