/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A port becomes another while its guest runs: the tap stays, and what it is plugged into changes.
 *
 *     port_change   the new network is made to run
 *     on_network    address, forwards, bridge: all or nothing
 *     on_rules      the firewall has it */

#include <string.h>

#include "manager.h"
#include "port.h"

typedef struct Change {
    Manager *manager;
    PortWish *wish;
    char *link; /* the port may go meanwhile */
    NetworkDone done;
    void *userdata;
} Change;

static void finish(Change *change, const Error *error)
{
    NetworkDone done = change->done;
    void *userdata = change->userdata;
    g_free(change->link);
    port_wish_free(change->wish);
    g_free(change);
    done(error, userdata);
}

static bool same_forwards(const Port *port, const char *const *forwards)
{
    guint n = forwards ? g_strv_length((char **) forwards) : 0;
    if (n != port->forwards->len)
        return false;
    for (guint i = 0; i < n; i++)
        if (!g_str_equal(forwards[i], port->forwards->pdata[i]))
            return false;
    return true;
}

static bool same_target(const Port *port, const PortWish *wish)
{
    if (wish->kind == PORT_NETWORK)
        return port->network && g_str_equal(port->network->name, wish->target);
    return !port->network && (g_str_equal(wish->target, "auto") || g_str_equal(port->bridge, wish->target));
}

bool port_fits(const Port *port, const PortWish *wish)
{
    bool filter = wish->filter || (port->network && port->network->run && port->network->run->filter);
    return same_target(port, wish) && same_forwards(port, wish->forwards) && filter == port->filter &&
        wish->receive_max == port->receive_max && wish->send_max == port->send_max;
}

static void on_rules(const Error *error, void *userdata)
{
    finish(userdata, error);
}

/* What the port was, to go back to. */
typedef struct Before {
    Network *network;
    char *bridge;
    Address address;
    bool filter, isolated;
    GPtrArray *forwards;
} Before;

static void restore(Port *port, Before *before)
{
    const PortWish wish = {.receive_max = port->receive_max, .send_max = port->send_max};
    port->network = before->network;
    g_free(port->bridge);
    port->bridge = before->bridge;
    port->address = before->address;
    port->filter = before->filter;
    port->isolated = before->isolated;
    g_ptr_array_unref(port->forwards);
    port->forwards = before->forwards;
    (void) port_plug(port, &wish, NULL);
}

static bool plug_into(Port *port, Network *network, const PortWish *wish, Error **ret_error)
{
    Before before = {port->network, port->bridge, port->address, port->filter, port->isolated, port->forwards};
    port->network = network;
    port->bridge = NULL;
    port->address = (Address){.family = AF_UNSPEC};
    port->forwards = g_ptr_array_new_with_free_func(g_free);
    char *bridge = port_target_bridge(port->manager, network, wish, ret_error);
    bool ok = bridge != NULL;
    port->bridge = bridge;
    if (!ok || !port_take_address_and_forwards(port, wish, ret_error) || !port_plug(port, wish, ret_error) ||
        !port_write_record(port, ret_error)) {
        restore(port, &before);
        return false;
    }
    g_free(before.bridge);
    g_ptr_array_unref(before.forwards);
    return true;
}

static void plug(Change *change, Port *port, Network *network)
{
    Network *left = port->network;
    g_autoptr(Error) error = NULL;
    if (!plug_into(port, network, change->wish, &error)) {
        if (network)
            network_check_wanted(network);
        return finish(change, error);
    }
    if (network)
        network_server_update(network);
    if (left && left != network) {
        network_server_update_later(left);
        network_check_wanted(left);
    }
    networks_apply_rules(change->manager, on_rules, change);
}

static void on_network(const Error *error, void *userdata)
{
    Change *change = userdata;
    Network *network = manager_find_network(change->manager, change->wish->target);
    Port *port = port_find_by_link(change->manager, change->link);
    g_autoptr(Error) gone = NULL;
    if (!error && port && !network)
        error_set(&gone, ERROR_NO_SUCH_NETWORK, change->wish->target, NULL, "it has been deleted meanwhile");
    if (error || !port || !network)
        return finish(change, error ?: gone);
    plug(change, port, network);
}

void port_change(Port *port, const PortWish *wish, NetworkDone done, void *userdata)
{
    Manager *manager = port->manager;
    g_autoptr(Error) error = NULL;
    Change *change = g_new0(Change, 1);
    change->manager = manager;
    change->done = done;
    change->userdata = userdata;
    change->link = g_strdup(port->link);
    change->wish = port_wish_copy(wish);

    if (port->macvtap || wish->kind == PORT_MACVTAP) {
        error_set(&error, ERROR_UNSUPPORTED, wish->section, "Restart the VM", "a macvtap cannot be changed while the guest runs");
        return finish(change, error);
    }
    if (wish->kind != PORT_NETWORK)
        return plug(change, port, NULL);
    Network *network = manager_find_network_or_error(manager, wish->target, &error);
    if (!network)
        return finish(change, error);
    network_start(network, false, on_network, change);
}
