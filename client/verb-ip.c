/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ip: at which addresses VMs are reached. */
#include <errno.h>
#include <string.h>

#include "addresses.h"
#include "connect.h"
#include "report.h"
#include "table.h"
#include "value.h"
#include "verb.h"

json_t *addresses_to_json(const json_t *property)
{
    static const char *const members[] = {"interface", "mac", "address", "source", NULL};
    return json_name_members(property, members);
}

/* One VM, whose addresses may have to be waited for. */
typedef struct Lookup {
    Client *client;
    const char *name;
    json_t *addresses; /* the rows that have an address */
    char *state;
    bool changed; /* since it was asked */
} Lookup;

static void lookup_clear(Lookup *lookup)
{
    json_decref(lookup->addresses);
    g_free(lookup->state);
}

static int ask(Lookup *lookup)
{
    g_autoptr(json_t) vm = NULL;
    lookup->changed = false;
    int r = json_get_properties(lookup->client, lookup->name, &vm);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) all = addresses_to_json(json_object_get(vm, "Addresses"));
    json_t *known = json_array(), *row;
    size_t i;
    json_array_foreach(all, i, row) if (*json_get_string(row, "address"))(void) json_array_append(known, row);
    json_decref(lookup->addresses);
    lookup->addresses = known;
    g_free(lookup->state);
    lookup->state = g_strdup(json_get_string(vm, "State"));
    return EXIT_DONE;
}

static bool is_up(const Lookup *lookup)
{
    static const char *const down[] = {"stopped", "saved", "failed", NULL};
    return !g_strv_contains(down, lookup->state);
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Lookup *lookup = userdata;
    lookup->changed = true;
    return 0;
}

/* Until something about the VM has changed. -ETIMEDOUT: the time is over. */
static int wait_for_change(Lookup *lookup, uint64_t deadline)
{
    while (!lookup->changed) {
        int r = sd_bus_process(lookup->client->bus, NULL);
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        uint64_t now = (uint64_t) g_get_monotonic_time();
        if (now >= deadline)
            return -ETIMEDOUT;
        r = sd_bus_wait(lookup->client->bus, deadline == USEC_INFINITY ? UINT64_MAX : deadline - now);
        if (r < 0 && r != -EINTR)
            return r;
    }
    return 0;
}

/* It is watched before it is asked, so that nothing is missed in between; and vmd is, since another one that
 * comes after it says nothing of what is as it was. */
static int ask_until(Lookup *lookup, uint64_t deadline)
{
    static const char vmd_changed[] =
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" BUS_NAME "'";
    Client *client = lookup->client;
    __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL, *vmd_slot = NULL;
    g_autofree char *path = kind_object(client_kind(client), lookup->name);
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_match_signal(client->bus, &slot, BUS_NAME, path, "org.freedesktop.DBus.Properties",
            "PropertiesChanged", on_changed, lookup);
    if (r >= 0)
        r = sd_bus_add_match(client->bus, &vmd_slot, vmd_changed, on_changed, lookup);
    if (r < 0)
        return report_errno(r, "VM \"%s\": cannot watch it", lookup->name);
    for (;;) {
        r = ask(lookup);
        if (r != EXIT_DONE || json_array_size(lookup->addresses) > 0 || !is_up(lookup))
            return r;
        r = wait_for_change(lookup, deadline);
        if (r == -ETIMEDOUT)
            return EXIT_DONE;
        if (r < 0)
            return report_errno(r, "the bus: it broke off");
    }
}

static int report_none(const Lookup *lookup)
{
    const char *hint = client_hint_options(lookup->client);
    if (!is_up(lookup))
        return report("VM \"%s\": it is %s and has no address. See: vmctl%s start %s", lookup->name,
                lookup->state, hint, lookup->name);
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
    int r = client->wait_time ? ask_until(&lookup, deadline) : ask(&lookup);
    if (r != EXIT_DONE)
        return r;
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
