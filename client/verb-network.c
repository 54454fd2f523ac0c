/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leases: what only networks have. */
#include <string.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "timestamp.h"
#include "verb.h"

/* Appends the leases of one network, each with its name. */
static int get_leases(Client *client, const char *network, json_t *all)
{
    static const char *const members[] = {"mac", "address", "name", "expires", NULL};
    g_autoptr(json_t) rows = NULL;
    size_t i;
    json_t *lease;

    int r = json_call_array(client, network, "GetLeases", &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) leases = json_name_members(rows, members);
    json_array_foreach(leases, i, lease)
    {
        (void) json_object_set_new(lease, "network", json_string(network));
        (void) json_array_append(all, lease);
    }
    return EXIT_DONE;
}

/* Those of all networks that run. */
static int get_all_leases(Client *client, json_t *all)
{
    g_autoptr(json_t) networks = NULL;
    size_t i;
    json_t *row;
    int r = json_call_array(client, NULL, "ListNetworks", &networks);
    json_array_foreach(networks, i,
            row) if (r == EXIT_DONE && g_strcmp0(json_string_value(json_array_get(row, 1)), "running") == 0)
            r = get_leases(client, json_string_value(json_array_get(row, 0)), all);
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

int verb_leases(Client *client)
{
    g_autoptr(json_t) leases = json_array();
    int r = client->n_arguments > 0 ? get_leases(client, client->arguments[0], leases)
                                    : get_all_leases(client, leases);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        json_print(client, leases);
        return EXIT_DONE;
    }
    pager_open(client->no_pager, false);
    print_leases(client, leases);
    return EXIT_DONE;
}
