/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leases, ports: what only networks have. */
#include <string.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "timestamp.h"
#include "verb.h"

/* Appends what a method of one network answers with, each row with its name. */
static int get_rows(Client *client, const char *network, const char *method, const char *const *members, json_t *all)
{
    g_autoptr(json_t) rows = NULL;
    size_t i;
    json_t *row;

    int r = json_call_array(client, network, method, &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) named = json_name_members(rows, members);
    json_array_foreach(named, i, row)
    {
        (void) json_object_set_new(row, "network", json_string(network));
        (void) json_array_append(all, row);
    }
    return EXIT_DONE;
}

/* That of the one which is named; else of all networks that run. */
static int get_all_rows(Client *client, const char *method, const char *const *members, json_t *all)
{
    g_autoptr(json_t) networks = NULL;
    size_t i;
    json_t *row;
    if (client->n_arguments > 0)
        return get_rows(client, client->arguments[0], method, members, all);
    int r = json_call_array(client, NULL, "ListNetworks", &networks);
    json_array_foreach(networks, i,
            row) if (r == EXIT_DONE && g_strcmp0(json_string_value(json_array_get(row, 1)), "running") == 0)
            r = get_rows(client, json_string_value(json_array_get(row, 0)), method, members, all);
    return r;
}

static void print_leases(const Client *client, const json_t *leases)
{
    static const char *const header[] = {"NETWORK", "ADDRESS", "MAC", "NAME", "EXPIRES", NULL};
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *lease;
    json_array_foreach(leases, i, lease)
    {
        uint64_t expires = json_get_number(lease, "expires");
        g_autofree char *when = expires > 0 ? timestamp_format(expires) : g_strdup("never");
        table_add(table, STYLE_NONE, json_get_string(lease, "network"));
        table_add(table, STYLE_NONE, json_get_string(lease, "address"));
        table_add(table, STYLE_NONE, json_get_string(lease, "mac"));
        table_add(table, STYLE_NONE, json_get_string(lease, "name"));
        table_add(table, STYLE_NONE, when);
    }
    table_print(table, client, client->full, "lease", "leases");
}

static void print_ports(const Client *client, const json_t *ports)
{
    static const char *const header[] = {"NETWORK", "NAME", "LINK", "MAC", "ADDRESS", NULL};
    static const char *const members[] = {"network", "name", "link", "mac", "address"};
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *port;
    json_array_foreach(ports, i, port) for (size_t j = 0; j < G_N_ELEMENTS(members); j++)
            table_add(table, STYLE_NONE, json_get_string(port, members[j]));
    table_print(table, client, client->full, "port", "ports");
}

static int show(Client *client, const char *method, const char *const *members, void (*print)(const Client *, const json_t *))
{
    g_autoptr(json_t) rows = json_array();
    int r = get_all_rows(client, method, members, rows);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        json_print(client, rows);
        return EXIT_DONE;
    }
    pager_open(client->no_pager, false);
    print(client, rows);
    return EXIT_DONE;
}

int verb_leases(Client *client)
{
    static const char *const members[] = {"mac", "address", "name", "expires", NULL};
    return show(client, "GetLeases", members, print_leases);
}

int verb_ports(Client *client)
{
    static const char *const members[] = {"name", "link", "mac", "address", NULL};
    return show(client, "GetPorts", members, print_ports);
}
