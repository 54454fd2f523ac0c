/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules: what the firewall is to be, from all networks and ports that there are. */

#include <unistd.h>

#include "manager.h"
#include "port.h"

static void add_network(FirewallState *state, const Network *network)
{
    static const FirewallMode modes[_NETWORK_MODE_MAX] = {
        [NETWORK_NAT] = FIREWALL_NAT, [NETWORK_ROUTED] = FIREWALL_ROUTED, [NETWORK_ISOLATED] = FIREWALL_ISOLATED};
    const NetworkRun *run = network->run;
    if (!run || run->mode == NETWORK_BRIDGE || network->state == NETWORK_STOPPING)
        return;
    FirewallNetwork *one = g_new0(FirewallNetwork, 1);
    one->bridge = g_strdup(run->bridge);
    one->mac = network_bridge_mac(network);
    one->mode = modes[run->mode];
    one->addresses = g_array_copy(run->addresses);
    one->host_access = run->host_access;
    g_ptr_array_add(state->networks, one);
}

static void add_filter(FirewallState *state, const Port *port)
{
    FirewallFilter *filter = g_new0(FirewallFilter, 1);
    filter->tap = g_strdup(port->link);
    filter->bridge = g_strdup(port->bridge);
    filter->mac = port->mac;
    filter->addresses = g_array_new(FALSE, FALSE, sizeof(Address));
    if (port->address.family == AF_INET) {
        Address bare = port->address;
        bare.prefix = 32;
        g_array_append_val(filter->addresses, bare);
    }
    for (guint i = 0; port->network && i < port->network->run->addresses->len; i++) {
        const Address *own = &g_array_index(port->network->run->addresses, Address, i);
        if (own->family == AF_INET6)
            g_array_append_val(filter->addresses, *own);
    }
    g_ptr_array_add(state->filters, filter);
}

static void add_forwards(FirewallState *state, const Port *port)
{
    for (guint i = 0; i < port->forwards->len; i++) {
        FirewallForward *forward = g_new0(FirewallForward, 1);
        if (!firewall_forward_parse(port->forwards->pdata[i], forward, NULL)) {
            g_free(forward);
            continue;
        }
        forward->bridge = g_strdup(port->network->run->bridge);
        forward->tap = g_strdup(port->link);
        forward->to_v4 = port->address;
        if (!port_address6(port, &forward->to_v6))
            forward->to_v6 = (Address){.family = AF_UNSPEC};
        g_ptr_array_add(state->forwards, forward);
    }
}

static FirewallState *make_state(Manager *manager)
{
    FirewallState *state = firewall_state_new();
    GHashTableIter iter;
    gpointer network;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network))
        add_network(state, network);
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (port->filter)
            add_filter(state, port);
        if (port->network && port->network->run)
            add_forwards(state, port);
    }
    return state;
}

/* To find out from the kernel would need libnftables at each start of a vmd. */
static char *mark_path(const Manager *manager)
{
    return g_build_filename(manager->dirs->runtime, "rules", NULL);
}

bool networks_rules_are_there(const Manager *manager)
{
    g_autofree char *path = mark_path(manager);
    return access(path, F_OK) == 0;
}

static bool is_empty(const FirewallState *state)
{
    return state->networks->len == 0 && state->filters->len == 0 && state->forwards->len == 0;
}

/* Of changes that nobody waits for, among them each that takes the last rules away. */
static void on_unasked(const Error *error, void *userdata)
{
    Manager *manager = userdata;
    g_autofree char *mark = mark_path(manager);
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("%s", message);
    } else if (!manager->rules_wanted)
        (void) unlink(mark);
    manager_check_idle(manager);
}

void networks_apply_rules(Manager *manager, NetworkDone done, void *userdata)
{
    g_autoptr(FirewallState) state = make_state(manager);
    g_autofree char *mark = mark_path(manager);
    manager->rules_wanted = !is_empty(state);
    if (manager->rules_wanted)
        (void) g_file_set_contents(mark, "", 0, NULL);
    firewall_apply(manager->firewall, state, false, done ? done : on_unasked, done ? userdata : manager);
}

void networks_forget_rules(Manager *manager, void *userdata)
{
    firewall_forget(manager->firewall, userdata);
}
