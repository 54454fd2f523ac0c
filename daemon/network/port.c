/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "port.h"

#include <string.h>
#include <unistd.h>

#include "identity.h"
#include "lease.h"
#include "link.h"
#include "manager.h"

#define PORTS_OF_OWNER_MAX 128U

static void port_free(Port *port)
{
    g_free(port->bridge);
    g_free(port->link);
    g_free(port->vm);
    g_free(port->section);
    g_ptr_array_unref(port->forwards);
    g_free(port);
}

Port *port_new(Manager *manager)
{
    Port *port = g_new0(Port, 1);
    port->manager = manager;
    port->forwards = g_ptr_array_new_with_free_func(g_free);
    return port;
}

PortWish *port_wish_copy(const PortWish *wish)
{
    PortWish *copy = g_memdup2(wish, sizeof *wish);
    copy->target = g_strdup(wish->target);
    copy->vm = g_strdup(wish->vm);
    copy->section = g_strdup(wish->section);
    copy->forwards = (const char *const *) g_strdupv((char **) wish->forwards);
    return copy;
}

void port_wish_free(PortWish *wish)
{
    if (!wish)
        return;
    g_free((char *) wish->target);
    g_free((char *) wish->vm);
    g_free((char *) wish->section);
    g_strfreev((char **) wish->forwards);
    g_free(wish);
}

Port *port_find_by_link(Manager *manager, const char *link)
{
    for (guint i = 0; i < manager->ports->len; i++) {
        Port *port = manager->ports->pdata[i];
        if (g_str_equal(port->link, link))
            return port;
    }
    return NULL;
}

Port *port_find_of_vm(Manager *manager, const char *vm, const char *section)
{
    for (guint i = 0; i < manager->ports->len; i++) {
        Port *port = manager->ports->pdata[i];
        if (g_str_equal(port->vm, vm) && g_str_equal(port->section, section))
            return port;
    }
    return NULL;
}

Port *port_find_by_mac(Manager *manager, const struct ether_addr *mac, const Network *network)
{
    for (guint i = 0; i < manager->ports->len; i++) {
        Port *port = manager->ports->pdata[i];
        if (port->network == network && memcmp(&port->mac, mac, sizeof *mac) == 0)
            return port;
    }
    return NULL;
}

unsigned port_mtu(const Port *port)
{
    return port && port->network && port->network->run ? port->network->run->mtu : 0;
}

bool port_address6(const Port *port, Address *ret)
{
    const GArray *addresses = port->network && port->network->run ? port->network->run->addresses : NULL;
    for (guint i = 0; addresses && i < addresses->len; i++) {
        const Address *own = &g_array_index(addresses, Address, i);
        if (own->family == AF_INET6 && address_eui64(own, &port->mac, ret))
            return true;
    }
    return false;
}

/* ---- the address that is kept for it ---- */

static bool is_taken(const Network *network, const Address *address, const struct ether_addr *mac)
{
    const NetworkRun *run = network->run;
    for (guint i = 0; i < run->addresses->len; i++) {
        const Address *own = &g_array_index(run->addresses, Address, i);
        if (own->family == AF_INET && own->v4.s_addr == address->v4.s_addr)
            return true;
    }
    for (guint i = 0; i < network->manager->ports->len; i++) {
        const Port *port = network->manager->ports->pdata[i];
        if (port->network == network && port->address.family == AF_INET && port->address.v4.s_addr == address->v4.s_addr)
            return true;
    }
    for (guint i = 0; i < run->leases->len; i++) {
        const Lease *lease = &g_array_index(run->leases, Lease, i);
        if (lease->address.family == AF_INET && lease->address.v4.s_addr == address->v4.s_addr && memcmp(&lease->mac, mac, sizeof *mac) != 0)
            return true;
    }
    GHashTableIter iter;
    gpointer reservation;
    g_hash_table_iter_init(&iter, run->reservations);
    while (g_hash_table_iter_next(&iter, NULL, &reservation))
        if (((NetworkReservation *) reservation)->address.v4.s_addr == address->v4.s_addr)
            return true;
    return false;
}

/* The reserved one; else one of the range, the same each time as long as nobody else has it. */
static bool choose_address(Port *port, Error **ret_error)
{
    const NetworkRun *run = port->network->run;
    const NetworkReservation *reservation = g_hash_table_lookup(run->reservations, port->vm);
    if (reservation) {
        port->address = reservation->address;
        return true;
    }
    if (!run->dhcp || run->first.family != AF_INET)
        return true;
    uint64_t first = address_index(&run->first), count = address_index(&run->last) - first + 1;
    g_autofree char *mac = mac_to_string(&port->mac);
    uint64_t start = g_str_hash(mac) % count;
    for (uint64_t i = 0; i < count; i++) {
        Address address;
        if (address_nth(&run->first, first + (start + i) % count, &address) && !is_taken(port->network, &address, &port->mac)) {
            port->address = address;
            return true;
        }
    }
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", port->network->name);
    return error_set(ret_error, ERROR_LIMIT_REACHED, thing, "Give it a larger Range= or subnet", "all of its %" G_GUINT64_FORMAT " addresses are taken", count);
}

/* ---- forwards ---- */

static uint16_t first_free_port(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents("/proc/sys/net/ipv4/ip_unprivileged_port_start", &text, NULL, NULL) ? (uint16_t) g_ascii_strtoull(text, NULL, 10) : 1024;
}

static const Port *find_forward(const Manager *manager, const FirewallForward *wanted)
{
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        for (guint j = 0; j < port->forwards->len; j++) {
            FirewallForward other = {0};
            if (firewall_forward_parse(port->forwards->pdata[j], &other, NULL) && firewall_forward_collides(wanted, &other))
                return port;
        }
    }
    return NULL;
}

static bool check_forward(const Port *port, const char *text, Error **ret_error)
{
    FirewallForward forward = {0};
    g_autofree char *thing = g_strdup_printf("Forward=%s", text);
    if (!firewall_forward_parse(text, &forward, ret_error))
        return false;
    if (!port->network || port->network->run->mode == NETWORK_BRIDGE || port->network->run->mode == NETWORK_ISOLATED)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Use a network with Mode=nat", "ports can be forwarded on a network of the host's own only");
    if (port->address.family != AF_INET)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Reserve one for it in the network's file, or set DHCP=yes", "vmd does not know the guest's address");
    if (port->owner != 0 && forward.first < first_free_port())
        return error_set(ret_error, ERROR_NOT_AUTHORIZED, thing, "Use a higher port", "ports below %u are root's, and the VM is not", first_free_port());
    const Port *other = find_forward(port->manager, &forward);
    if (other)
        return error_set(ret_error, ERROR_IN_USE, thing, "Choose another port", "VM \"%s\" has it", other->vm);
    uint16_t taken;
    if (firewall_port_is_taken(&forward, &taken))
        return error_set(ret_error, ERROR_IN_USE, thing, "Choose another port; 'ss -lntup' says who has it", "a program of the host listens on port %u", taken);
    return true;
}

static bool take_forwards(Port *port, const char *const *forwards, Error **ret_error)
{
    for (size_t i = 0; forwards && forwards[i]; i++) {
        if (!check_forward(port, forwards[i], ret_error))
            return false;
        g_ptr_array_add(port->forwards, g_strdup(forwards[i]));
    }
    return true;
}

/* ---- making one ---- */

static bool check_mac(const Port *port, Error **ret_error)
{
    const Port *other = port_find_by_mac(port->manager, &port->mac, port->network);
    Link bridge;
    if (links_get(port->manager->links, port->bridge, &bridge) >= 0 && memcmp(&bridge.mac, &port->mac, sizeof port->mac) == 0) {
        g_autofree char *mac = mac_to_string(&port->mac);
        return error_set(ret_error, ERROR_IN_USE, mac, "Give the interface another MAC=", "%s itself has this MAC address", port->bridge);
    }
    if (!other || other == port || (!port->network && !g_str_equal(other->bridge, port->bridge)))
        return true;
    g_autofree char *mac = mac_to_string(&port->mac);
    return error_set(ret_error, ERROR_IN_USE, mac, "Give one of them another MAC=", "VM \"%s\" has this MAC address on the same network", other->vm);
}

static bool check_limit(const Port *port, Error **ret_error)
{
    unsigned n = 0;
    for (guint i = 0; port->owner != 0 && i < port->manager->ports->len; i++)
        n += ((const Port *) port->manager->ports->pdata[i])->owner == port->owner;
    return n < PORTS_OF_OWNER_MAX || error_set(ret_error, ERROR_LIMIT_REACHED, NULL, NULL, "you have %u network interfaces, and nobody but root has more", n);
}

bool port_plug(Port *port, const PortWish *wish, Error **ret_error)
{
    g_autofree char *alias = g_strconcat(LINK_ALIAS_TAP, port->vm, NULL);
    Links *links = port->manager->links;
    const PortSpec spec = {
        .link = port->link,
        .bridge = port->bridge,
        .alias = alias,
        .mtu = wish->mtu ? wish->mtu : port_mtu(port),
        .isolated = port->isolated,
        /* With br_netfilter the bridge turns its own forward around, which else ends at the port that it came from. */
        .hairpin = port->forwards->len > 0,
    };
    if (!links_enslave(links, &spec, ret_error))
        return false;
    if (wish->receive_max != port->receive_max || wish->send_max != port->send_max) {
        if (!links_set_bandwidth(links, port->link, wish->receive_max, wish->send_max, ret_error))
            return false;
        port->receive_max = wish->receive_max;
        port->send_max = wish->send_max;
    }
    return true;
}

static bool make_tap(Port *port, const PortWish *wish, Tap *tap, Error **ret_error)
{
    if (!tap_open("vmtap%d", wish->queues, wish->vhost, tap, ret_error))
        return false;
    port->link = g_strdup(tap->name);
    port->index = tap->index;
    return port_plug(port, wish, ret_error);
}

char *port_macvtap_name(const struct ether_addr *mac)
{
    g_autofree char *text = mac_to_string(mac);
    return g_strdup_printf("vmmt%08x", g_str_hash(text));
}

static bool make_macvtap(Port *port, const PortWish *wish, Tap *tap, Error **ret_error)
{
    g_autofree char *alias = g_strconcat(LINK_ALIAS_TAP, port->vm, NULL), *name = port_macvtap_name(&port->mac);
    if (!links_add_macvtap(port->manager->links, port->bridge, name, &port->mac, alias, &port->index, ret_error))
        return false;
    port->link = g_strdup(name);
    return tap_open_macvtap(port->index, name, wish->queues, wish->vhost, tap, ret_error);
}

char *port_target_bridge(Manager *manager, const Network *network, const PortWish *wish, Error **ret_error)
{
    if (network)
        return g_strdup(network->run->bridge);
    if (wish->kind == PORT_BRIDGE && g_str_equal(wish->target, "auto"))
        return network_find_uplink_bridge(manager, "Bridge=auto", ret_error);
    return g_strdup(wish->target);
}

bool port_take_address_and_forwards(Port *port, const PortWish *wish, Error **ret_error)
{
    const NetworkRun *run = port->network ? port->network->run : NULL;
    port->isolated = run && run->isolate;
    port->filter = wish->filter || (run && run->filter);
    if (port->filter && port->macvtap)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, wish->section, "Use Network= or Bridge=", "Filter= is not for Macvtap=");
    return check_mac(port, ret_error) && (!port->network || choose_address(port, ret_error)) && take_forwards(port, wish->forwards, ret_error);
}

static bool port_make(Port *port, const PortWish *wish, Tap *tap, Error **ret_error)
{
    port->macvtap = wish->kind == PORT_MACVTAP;
    port->vm = g_strdup(wish->vm);
    port->section = g_strdup(wish->section);
    port->owner = wish->owner;
    port->mac = wish->mac;
    port->link_up = wish->link_up;
    port->bridge = port_target_bridge(port->manager, port->network, wish, ret_error);
    if (!port->bridge || !check_limit(port, ret_error) || !port_take_address_and_forwards(port, wish, ret_error))
        return false;
    if (!(port->macvtap ? make_macvtap(port, wish, tap, ret_error) : make_tap(port, wish, tap, ret_error)))
        return false;
    return port_write_record(port, ret_error);
}

static bool has_rules(const Port *port)
{
    return port->filter || port->forwards->len > 0;
}

/* A tap goes by itself, unless a QEMU that was taken over has made it stay. */
static void forget_record(const Port *port)
{
    g_autofree char *path = port->link ? g_build_filename(port->manager->dirs->ports, port->link, NULL) : NULL;
    if (path)
        (void) unlink(path);
    if (port->index <= 0)
        return;
    if (port->macvtap)
        (void) links_remove_macvtap(port->manager->links, port->index, NULL);
    else
        (void) links_remove_tap(port->manager->links, port->index, NULL);
}

Port *port_add(Manager *manager, Network *network, const PortWish *wish, Tap *tap, Error **ret_error)
{
    Port *port = port_new(manager);
    port->network = network;
    if (!port_make(port, wish, tap, ret_error)) {
        tap_close(tap);
        forget_record(port);
        port_free(port);
        return NULL;
    }
    g_ptr_array_add(manager->ports, port);
    ports_watch(manager);
    if (network) {
        network_server_update(network);
        network_changed(network, "Ports", NULL);
    }
    return port;
}

void port_close(Port *port)
{
    Manager *manager = port->manager;
    Network *network = port->network;
    bool rules = has_rules(port);
    g_ptr_array_remove(manager->ports, port);
    forget_record(port);
    port_free(port);
    if (rules)
        networks_apply_rules(manager, NULL, NULL);
    if (network) {
        network_server_update_later(network);
        network_changed(network, "Ports", NULL);
        network_check_wanted(network);
    }
    ports_watch(manager);
    manager_check_idle(manager);
}

void ports_close_of_vm(Manager *manager, const char *vm)
{
    for (guint i = manager->ports->len; i > 0; i--) {
        Port *port = manager->ports->pdata[i - 1];
        if (*port->section && g_str_equal(port->vm, vm))
            port_close(port);
    }
}

void ports_free(Manager *manager)
{
    if (manager->links) /* a user's vmd has none */
        links_unwatch(manager->links);
    for (guint i = 0; i < manager->ports->len; i++)
        port_free(manager->ports->pdata[i]);
    g_ptr_array_unref(manager->ports);
}

/* ---- what the kernel says ---- */

static Network *find_network_of_link(Manager *manager, int index)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Network *network = value;
        if (network->run && network->run->index == index)
            return network;
    }
    return NULL;
}

static void close_those_gone(Manager *manager)
{
    for (guint i = manager->ports->len; i > 0; i--) {
        Link link;
        Port *port = manager->ports->pdata[i - 1];
        if (links_get(manager->links, port->link, &link) < 0 || link.index != port->index)
            port_close(port);
    }
}

static void on_change(LinksChange what, int index, const char *name, bool gone, void *userdata)
{
    Manager *manager = userdata;
    Network *network = find_network_of_link(manager, index);
    Port *port;
    switch (what) {
    case LINKS_LINK:
        port = gone ? port_find_by_link(manager, name) : NULL;
        if (port && port->index == index)
            port_close(port);
        break;
    case LINKS_NEIGHBOUR:
        if (network)
            ports_addresses_changed(network);
        break;
    case LINKS_LOST:
        close_those_gone(manager);
        break;
    }
}

void ports_watch(Manager *manager)
{
    bool wanted = manager->ports->len > 0;
    if (wanted == manager->links_watched || !manager->links)
        return;
    manager->links_watched = wanted;
    if (!wanted) {
        links_unwatch(manager->links);
        return;
    }
    int r = links_watch(manager->links, on_change, manager);
    if (r < 0)
        g_warning("links cannot be followed: %s", strerror(-r));
}

void ports_addresses_changed(Network *network)
{
    Manager *manager = network->manager;
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        VM *vm = port->network == network && *port->section ? manager_find_vm(manager, port->vm) : NULL;
        if (vm)
            vm_changed(vm, "Addresses", NULL);
    }
}
