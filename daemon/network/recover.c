/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Recover: networks and ports that are there since before this vmd. Each folder in /run/vmd/network is a network, each file in
 * /run/vmd/port a port; the kernel says which of them are still there. What was half made or half taken away is taken away. */

#include <string.h>
#include <unistd.h>

#include "firewalld.h"
#include "link.h"
#include "manager.h"
#include "name.h"
#include "port.h"
#include "resolve.h"

static void on_gone(const Error *error, void *userdata)
{
}

static bool is_there(Network *network)
{
    const NetworkRun *run = network->run;
    Link link;
    g_autofree char *alias = g_strconcat(LINK_ALIAS_BRIDGE, network->name, NULL);
    if (links_get(network->manager->links, run->bridge, &link) < 0 || link.index != run->index)
        return false;
    return run->mode == NETWORK_BRIDGE || g_str_equal(link.alias, alias);
}

/* Whether it was running is decided by what is there, not by what the record says was meant. */
static void recover_network(Manager *manager, const char *name)
{
    Network *network = manager_find_network(manager, name);
    g_autoptr(Error) error = NULL;
    if (!network)
        network = manager_add_network(manager, name);
    if (!network_read_record(network, &error)) {
        g_autofree char *dir = network_dir(network), *record = g_build_filename(dir, "record", NULL);
        (void) unlink(record);
        (void) rmdir(dir);
        manager_settle_network(manager, network);
        return;
    }
    network->state = NETWORK_RUNNING;
    if (is_there(network))
        return;
    network->state = NETWORK_STOPPED;
    if (network->run->dhcp)
        network_server_stop(network, on_gone, NULL);
    network_take_away(network);
    manager_settle_network(manager, network);
}

static void remove_orphan(Manager *manager, const Link *link)
{
    if (g_str_has_prefix(link->alias, LINK_ALIAS_BRIDGE)) {
        const Network *network = manager_find_network(manager, link->alias + strlen(LINK_ALIAS_BRIDGE));
        if (!(network && network->run && network->run->index == link->index))
            (void) links_remove_bridge(manager->links, link->index, NULL);
    } else if (g_str_equal(link->kind, "macvtap") && !port_find_by_link(manager, link->name)) {
        g_autofree char *name = port_macvtap_name(&link->mac);
        if (g_str_has_prefix(link->alias, LINK_ALIAS_TAP))
            (void) links_remove_macvtap(manager->links, link->index, NULL);
        else if (g_str_equal(link->name, name))
            links_remove_unfinished(manager->links, name, "macvtap", &link->mac);
    }
}

/* Bridges and macvtaps of ours that no record has. */
static void remove_orphans(Manager *manager)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(GArray) links = links_list(manager->links, NULL, &error);
    for (guint i = 0; links && i < links->len; i++)
        remove_orphan(manager, &g_array_index(links, Link, i));
}

static void recover_port(Manager *manager, const char *name)
{
    Port *port = port_new(manager);
    g_autoptr(Error) error = NULL;
    Link link;
    bool there = port_read_record(port, name, &error) && links_get(manager->links, name, &link) >= 0 && link.index == port->index &&
        g_str_has_prefix(link.alias, LINK_ALIAS_TAP);
    /* A macvtap is there until it is removed, and so is a tap that was made to stay: its VM says whether it is used. */
    if (there && *port->section) {
        const VM *vm = manager_find_vm(manager, port->vm);
        there = vm && vm->instance;
    }
    g_ptr_array_add(manager->ports, port);
    if (!port->link)
        port->link = g_strdup(name);
    if (!there)
        port_close(port);
}

static void foreach_name(const char *path, Manager *manager, void (*each)(Manager *, const char *))
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        each(manager, name);
}

static void settle(Manager *manager)
{
    size_t n;
    g_autofree Network **networks = manager_list_networks(manager, &n);
    for (size_t i = 0; i < n; i++) {
        Network *network = networks[i];
        if (network->state == NETWORK_RUNNING) {
            firewalld_add(network);
            resolve_link(network);
            if (network->run->dhcp)
                network_server_revive(network);
            network_watch_leases(network);
            network_server_update(network);
            network_check_wanted(network);
        } else if (network->autostart && !network->problem)
            network_start(network, true, on_gone, NULL);
    }
}

void networks_recover(Manager *manager)
{
    if (manager->user)
        return;
    networks_watch_servers(manager);
    firewalld_watch(manager);
    resolve_watch(manager);
    foreach_name(manager->dirs->networks, manager, recover_network);
    foreach_name(manager->dirs->ports, manager, recover_port);
    remove_orphans(manager);
    ports_watch(manager);
    settle(manager);
    /* The rules are made anew from what is there, and those of before are gone. */
    if (manager->ports->len > 0 || manager_has_active_network(manager) || networks_rules_are_there(manager))
        networks_apply_rules(manager, NULL, NULL);
}
