/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ip: at which addresses VMs are reached. */
#include "addresses.h"
#include "connect.h"
#include "report.h"
#include "table.h"
#include "value.h"
#include "verb.h"
#include "watch.h"

json_t *addresses_to_json(const json_t *property)
{
    static const char *const members[] = {"interface", "mac", "address", "source", NULL};
    return json_name_members(property, members);
}

/* One VM. */
typedef struct Lookup {
    Client *client;
    const char *name;
    json_t *vm;        /* its properties */
    json_t *addresses; /* the rows that have an address */
} Lookup;

static void lookup_clear(Lookup *lookup)
{
    json_decref(lookup->addresses);
    json_decref(lookup->vm);
}

static json_t *known_addresses(const json_t *vm)
{
    g_autoptr(json_t) all = addresses_to_json(json_object_get(vm, "Addresses"));
    json_t *known = json_array(), *row;
    size_t i;
    json_array_foreach(all, i, row) if (*json_get_string(row, "address"))(void) json_array_append(known, row);
    return known;
}

static bool is_known(const json_t *vm)
{
    g_autoptr(json_t) known = known_addresses(vm);
    return json_array_size(known) > 0;
}

static int report_none(const Lookup *lookup)
{
    const char *hint = client_hint_options(lookup->client);
    if (!watch_is_up(lookup->vm))
        return report("VM \"%s\": it is %s and has no address. See: vmctl%s start %s", lookup->name,
                json_get_string(lookup->vm, "State"), hint, lookup->name);
    if (lookup->client->wait_time)
        return report("VM \"%s\": no address of it is known, after all that time. See: vmctl%s status %s",
                lookup->name, hint, lookup->name);
    return report("VM \"%s\": no address of it is known yet. To wait for one: vmctl%s ip --wait %s",
            lookup->name, hint, lookup->name);
}

static void add_rows(Table *table, const Lookup *lookup)
{
    size_t i;
    json_t *row;
    json_array_foreach(lookup->addresses, i, row)
    {
        if (lookup->client->n_arguments > 1)
            table_add(table, STYLE_NONE, lookup->name);
        table_add(table, STYLE_NONE, json_get_string(row, "interface"));
        table_add(table, STYLE_NONE, json_get_string(row, "address"));
        table_add(table, STYLE_NONE, json_get_string(row, "source"));
    }
}

/* For "ssh $(vmctl ip -q web)". */
static void print_bare(const Lookup *lookup)
{
    size_t i;
    json_t *row;
    json_array_foreach(lookup->addresses, i, row) puts(json_get_string(row, "address"));
}

static int ip_one(Client *client, const char *name, uint64_t deadline, Table *table, json_t *array)
{
    __attribute__((cleanup(lookup_clear))) Lookup lookup = {.client = client, .name = name};
    int r = client->wait_time ? watch_until(client, name, is_known, deadline, &lookup.vm) : json_get_properties(client, name, &lookup.vm);
    if (r != EXIT_DONE)
        return r;
    lookup.addresses = known_addresses(lookup.vm);
    if (array)
        (void) json_array_append_new(
                array, json_pack("{ss sO}", "name", name, "addresses", lookup.addresses));
    else if (client->quiet || client->value)
        print_bare(&lookup);
    else
        add_rows(table, &lookup);
    return json_array_size(lookup.addresses) > 0 ? EXIT_DONE : report_none(&lookup);
}

static int read_deadline(const Client *client, uint64_t *ret)
{
    uint64_t time = USEC_INFINITY, now = (uint64_t) g_get_monotonic_time();
    if (client->wait_time && *client->wait_time && parse_duration(client->wait_time, &time) < 0)
        return report_usage("--wait=%s: it is a time such as 30s or 2min", client->wait_time);
    *ret = time >= USEC_INFINITY - now ? USEC_INFINITY : now + time;
    return EXIT_DONE;
}

int verb_ip(Client *client)
{
    static const char *const header[] = {"NAME", "INTERFACE", "ADDRESS", "SOURCE", NULL};
    Client bare = {.no_legend = true};
    g_autoptr(Table) table = table_new(client->n_arguments > 1 ? header : header + 1);
    g_autoptr(json_t) array = client_json(client) ? json_array() : NULL;
    uint64_t deadline = 0;
    int first = read_deadline(client, &deadline);
    if (first != EXIT_DONE)
        return first;

    for (size_t i = 0; i < client->n_arguments; i++) {
        int r = ip_one(client, client->arguments[i], deadline, table, array);
        if (first == EXIT_DONE)
            first = r;
    }
    if (array)
        json_print(client, array);
    else if (!client->quiet && !client->value)
        table_print(table, &bare, true, "address", "addresses");
    return first;
}
