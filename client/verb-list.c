/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, jobs, qemu: tables of what there is. */
#include <fnmatch.h>
#include <string.h>

#include "addresses.h"
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

typedef enum Cell {
    CELL_TEXT,
    CELL_STATE,
    CELL_NUMBER, /* 0: there is none */
    CELL_SIZE,
    CELL_SPACE, /* 0 of what does not run: it is not known */
    CELL_WORDS,
    CELL_ADDRESSES, /* of Addresses of org.vmd1.VM, as addresses_to_json() has it */
} Cell;

typedef struct Column {
    const char *title, *member; /* of the table and of JSON */
    const char *property;       /* where it comes from; none: what the short answer has */
    Cell cell;
} Column;

/* What comes with one short answer, which is what a host with many VMs wants. */
static const Column vm_columns[] = {
        {"NAME", "name", NULL, CELL_TEXT},
        {"STATE", "state", NULL, CELL_STATE},
        {">LEADER", "leader", NULL, CELL_NUMBER},
        {},
};

static const Column vm_full_columns[] = {
        {"NAME", "name", "Name", CELL_TEXT},
        {"STATE", "state", "State", CELL_STATE},
        {">LEADER", "leader", "Leader", CELL_NUMBER},
        {">CPUS", "cpus", "CPUs", CELL_NUMBER},
        {">MEMORY", "memory", "Memory", CELL_SIZE},
        {"ACCELERATOR", "accelerator", "Accelerator", CELL_TEXT},
        {"ADDRESSES", "addresses", "Addresses", CELL_ADDRESSES},
        {"DESCRIPTION", "description", "Description", CELL_TEXT},
        {},
};

static const Column network_columns[] = {
        {"NAME", "name", NULL, CELL_TEXT},
        {"STATE", "state", NULL, CELL_STATE},
        {"MODE", "mode", NULL, CELL_TEXT},
        {"BRIDGE", "bridge", NULL, CELL_TEXT},
        {},
};

static const Column network_full_columns[] = {
        {"NAME", "name", "Name", CELL_TEXT},
        {"STATE", "state", "State", CELL_STATE},
        {"MODE", "mode", "Mode", CELL_TEXT},
        {"BRIDGE", "bridge", "Bridge", CELL_TEXT},
        {"ADDRESSES", "addresses", "Addresses", CELL_WORDS},
        {">PORTS", "ports", "Ports", CELL_NUMBER},
        {"DOMAIN", "domain", "Domain", CELL_TEXT},
        {"DESCRIPTION", "description", "Description", CELL_TEXT},
        {},
};

/* Where it is, is no part of the short answer. */
static const Column pool_columns[] = {
        {"NAME", "name", "Name", CELL_TEXT},
        {"STATE", "state", "State", CELL_STATE},
        {"TYPE", "type", "Type", CELL_TEXT},
        {">CAPACITY", "capacity", "Capacity", CELL_SPACE},
        {">AVAILABLE", "available", "Available", CELL_SPACE},
        {">ALLOCATION", "allocation", "Allocation", CELL_SPACE},
        {"PATH", "folder", "Path", CELL_TEXT},
        {},
};

static const Column pool_full_columns[] = {
        {"NAME", "name", "Name", CELL_TEXT},
        {"STATE", "state", "State", CELL_STATE},
        {"TYPE", "type", "Type", CELL_TEXT},
        {">CAPACITY", "capacity", "Capacity", CELL_SPACE},
        {">AVAILABLE", "available", "Available", CELL_SPACE},
        {">ALLOCATION", "allocation", "Allocation", CELL_SPACE},
        {">VOLUMES", "volumes", "Volumes", CELL_NUMBER},
        {"PATH", "folder", "Path", CELL_TEXT},
        {"UNIT", "unit", "Unit", CELL_TEXT},
        {"DESCRIPTION", "description", "Description", CELL_TEXT},
        {},
};

static const Column *columns_of(const Client *client)
{
    if (client_kind(client) == &kind_pool)
        return client->full ? pool_full_columns : pool_columns;
    if (client_kind(client) == &kind_network)
        return client->full ? network_full_columns : network_columns;
    return client->full ? vm_full_columns : vm_columns;
}

/* "192.168.100.2,192.168.100.3" */
static void add_words(Table *table, const json_t *words, const char *key)
{
    g_autoptr(GString) text = g_string_new(NULL);
    size_t i;
    json_t *word;
    json_array_foreach(words, i, word)
    {
        const char *s = key ? json_get_string(word, key) : json_string_value(word);
        if (s && *s)
            g_string_append_printf(text, "%s%s", text->len ? "," : "", s);
    }
    table_add(table, STYLE_NONE, text->str);
}

static void add_cell(Table *table, const Column *column, const json_t *object)
{
    const json_t *value = json_object_get(object, column->member);
    json_int_t number = json_integer_value(value);
    g_autofree char *size = NULL;

    switch (column->cell) {
    case CELL_TEXT:
        table_add(table, STYLE_NONE, json_string_value(value));
        break;
    case CELL_STATE:
        table_add(table, terminal_state_style(json_get_string(object, column->member)),
                json_string_value(value));
        break;
    case CELL_NUMBER:
        if (number > 0)
            table_addf(table, STYLE_NONE, "%" JSON_INTEGER_FORMAT, number);
        else
            table_add(table, STYLE_NONE, NULL);
        break;
    case CELL_SIZE:
        size = format_size_human(number > 0 ? (uint64_t) number : 0);
        table_add(table, STYLE_NONE, size);
        break;
    case CELL_SPACE:
        if (number > 0 || strcmp(json_get_string(object, "state"), "running") == 0)
            size = format_size_human((uint64_t) MAX(number, 0));
        table_add(table, STYLE_NONE, size);
        break;
    case CELL_WORDS:
        add_words(table, value, NULL);
        break;
    case CELL_ADDRESSES:
        add_words(table, value, "address");
        break;
    }
}

static int list_short(Client *client, json_t **ret)
{
    const ObjectKind *kind = client_kind(client);
    g_auto(GStrv) members = g_strsplit(kind->list_members, " ", -1);
    g_autoptr(json_t) rows = NULL;
    int r = json_call_array(client, NULL, kind->list, &rows);
    if (r == EXIT_DONE)
        *ret = json_name_members(rows, (const char *const *) members);
    return r;
}

/* The members of `columns`, and where it is. */
static json_t *new_full_object(const Column *columns, const char *path, const json_t *properties)
{
    json_t *object = json_object();
    for (const Column *column = columns; column->title; column++) {
        const json_t *value = json_object_get(properties, column->property);
        if (column->cell == CELL_ADDRESSES)
            (void) json_object_set_new(object, column->member, addresses_to_json(value));
        else
            (void) json_object_set(object, column->member, (json_t *) value);
    }
    (void) json_object_set_new(object, "path", json_string(path));
    return object;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(
            json_get_string(*(json_t *const *) a, "name"), json_get_string(*(json_t *const *) b, "name"));
}

/* All properties of all of them. */
static int list_full(Client *client, json_t **ret)
{
    const ObjectKind *kind = client_kind(client);
    const Column *columns = columns_of(client);
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new();
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
        const json_t *properties = json_object_get(interfaces, kind->interface);
        if (properties)
            g_ptr_array_add(found, new_full_object(columns, path, properties));
    }
    g_ptr_array_sort(found, compare_names);
    *ret = json_array();
    for (guint i = 0; i < found->len; i++)
        (void) json_array_append_new(*ret, found->pdata[i]);
    return EXIT_DONE;
}

static void print_list(Client *client, const json_t *objects)
{
    const Column *columns = columns_of(client);
    const ObjectKind *kind = client_kind(client);
    const char *header[MAX(G_N_ELEMENTS(vm_full_columns), G_N_ELEMENTS(pool_full_columns))] = {};
    size_t i;
    json_t *object;

    for (size_t k = 0; columns[k].title; k++)
        header[k] = columns[k].title;
    g_autoptr(Table) table = table_new(header);
    json_array_foreach(objects, i, object) for (const Column *column = columns; column->title; column++)
            add_cell(table, column, object);
    table_print(table, client, client->full, kind->thing, kind->things);
    hint_problems(client);
}

int verb_list(Client *client)
{
    g_autoptr(json_t) all = NULL, wanted = json_array();
    size_t i;
    json_t *object;

    if (!client_json(client))
        pager_open(client->no_pager, client->full);
    int r = columns_of(client)->property ? list_full(client, &all) : list_short(client, &all);
    if (r != EXIT_DONE)
        return r;
    json_array_foreach(all, i, object) if (is_wanted(client, json_get_string(object, "name"),
                                                   json_get_string(object, "state")))(void)
            json_array_append(wanted, object);
    if (client_json(client))
        json_print(client, wanted);
    else
        print_list(client, wanted);
    return EXIT_DONE;
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
    static const char *const header[] = {">JOB", "OF", "TYPE", "STATE", NULL};
    g_autoptr(json_t) jobs = NULL;
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *job;

    int r = json_call_array(client, NULL, "ListJobs", &jobs);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        g_autoptr(json_t) named = json_name_members(jobs, keys);
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

/* "yes" is what it can; JSON has all words. */
static const char *const qemu_columns[] = {"kvm", "xen", "spice", "dbus-display", "usb-redirection", "tpm", "virtiofs"};

static bool has_word(const json_t *words, const char *wanted)
{
    size_t i;
    json_t *word;
    json_array_foreach((json_t *) words, i, word)
        if (strcmp(json_string_value(word), wanted) == 0)
            return true;
    return false;
}

int verb_qemu_list(Client *client)
{
    static const char *const keys[] = {"binary", "version", "target", "root", "capabilities", "problem", NULL};
    static const char *const header[] = {"VERSION", "ARCH", "KVM", "XEN", "SPICE", "DBUS", "USBREDIR", "TPM", "VIRTIOFS", "BINARY", "TREE", NULL};
    g_autoptr(json_t) qemus = NULL;
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *qemu;

    int r = json_call_array(client, NULL, "ListQEMUs", &qemus);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        g_autoptr(json_t) named = json_name_members(qemus, keys);
        json_print(client, named);
        return EXIT_DONE;
    }
    json_array_foreach(qemus, i, qemu)
    {
        const json_t *words = json_array_get(qemu, 4);
        const char *problem = member(qemu, 5);
        table_add(table, STYLE_NONE, *problem ? "-" : member(qemu, 1));
        table_add(table, STYLE_NONE, *problem ? "-" : member(qemu, 2));
        for (size_t k = 0; k < G_N_ELEMENTS(qemu_columns); k++)
            table_add(table, STYLE_NONE, *problem ? "-" : has_word(words, qemu_columns[k]) ? "yes" : "no");
        table_add(table, STYLE_NONE, *member(qemu, 0) ? member(qemu, 0) : "-");
        table_add(table, STYLE_NONE, *member(qemu, 3) ? member(qemu, 3) : "-");
    }
    table_print(table, client, client->full, "QEMU", "QEMUs");
    json_array_foreach(qemus, i, qemu)
        if (*member(qemu, 5))
            fprintf(stderr, "vmctl: %s%s%s: %s\n", member(qemu, 0), *member(qemu, 0) && *member(qemu, 3) ? " of " : "", member(qemu, 3), member(qemu, 5));
    return EXIT_DONE;
}
