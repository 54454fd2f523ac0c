/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is vmd's own: networks, their servers, bridges, taps; and who interferes with them. */

#include <string.h>

#include "doctor-internal.h"
#include "instance.h"
#include "lease.h"
#include "value.h"

#define LEASE_AFTER_USEC (30 * USEC_PER_SEC)

static char *network_thing(const Network *network)
{
    return g_strdup_printf("Network \"%s\"", network->name);
}

static char *thing_of_vm(const char *name)
{
    return g_strdup_printf("VM \"%s\"", name);
}

/* ---- networks, and the VM that is asked about ---- */

static const char **network_sections(const VM *vm, Settings **ret_settings)
{
    *ret_settings = vm_load_settings(vm, NULL);
    return *ret_settings ? settings_sections(*ret_settings, "Network") : NULL;
}

/* A network of the VM's settings, or a port of it. */
static bool is_wanted(const Doctor *doctor, const Network *network)
{
    g_autoptr(Settings) settings = NULL;
    if (!doctor->vm)
        return true;
    for (guint i = 0; i < doctor->ports->len; i++)
        if (((const Port *) doctor->ports->pdata[i])->network == network)
            return true;
    g_autofree const char **sections = network_sections(doctor->vm, &settings);
    for (size_t i = 0; sections && sections[i]; i++) {
        const char *name = settings_get_string(settings, sections[i], "Network");
        bool elsewhere = settings_has(settings, sections[i], "Bridge") || settings_has(settings, sections[i], "Macvtap") || settings_has(settings, sections[i], "User");
        if (name ? g_str_equal(name, network->name) : !elsewhere && g_str_equal(network->name, "default"))
            return true;
    }
    return false;
}

static void look_at_vm(Doctor *doctor, const VM *vm)
{
    g_autoptr(Settings) settings = NULL;
    g_autofree const char **sections = network_sections(vm, &settings);
    g_autofree char *thing = vm_thing(vm), *network = g_strdup_printf("vmctl set %s --network=default", vm->name);
    g_autofree char *start = g_strdup_printf("vmctl start %s", vm->name);
    if (vm->problem)
        doctor_find(doctor, FINDING_ERROR, thing, NULL, "its settings cannot be used: %s", vm->problem);
    else if (settings && (!sections || !sections[0]))
        doctor_find(doctor, FINDING_WARNING, thing, network, "its settings have no [Network NAME], so it has no network card");
    if (vm->state == VM_FAILED && vm->message)
        doctor_find(doctor, FINDING_ERROR, thing, start, "it has failed: %s", vm->message);
    else if (!vm_is_active(vm))
        doctor_find(doctor, FINDING_WARNING, thing, start, "it does not run: only the host was looked at");
}

void doctor_check_networks(Doctor *doctor)
{
    size_t n;
    g_autofree Network **networks = manager_list_networks(doctor->manager, &n);
    for (size_t i = 0; i < n; i++) {
        const Network *network = networks[i];
        g_autofree char *thing = network_thing(network), *start = g_strdup_printf("vmctl network start %s", network->name);
        if (!is_wanted(doctor, network))
            continue;
        if (network->problem)
            doctor_find(doctor, FINDING_ERROR, thing, NULL, "its settings cannot be used: %s", network->problem);
        else if (network->state == NETWORK_FAILED)
            doctor_find(doctor, FINDING_ERROR, thing, start, "it could not be started: %s", network->message ?: "it is not known why");
    }
    if (doctor->vm)
        look_at_vm(doctor, doctor->vm);
}

/* ---- servers ---- */

static const char *server_state(const Doctor *doctor, const Network *network)
{
    return g_hash_table_lookup(doctor->servers, network->name) ?: "";
}

static bool is_served(const Doctor *doctor, const Network *network)
{
    const char *state = server_state(doctor, network);
    return g_str_equal(state, "active") || g_str_equal(state, "reloading");
}

void doctor_check_servers(Doctor *doctor)
{
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        if (!network->run->dhcp || is_served(doctor, network) || !*server_state(doctor, network))
            continue;
        g_autofree char *thing = network_thing(network), *unit = network_unit(network);
        g_autofree char *remedy = g_strdup_printf("journalctl -n 20 -u %s; vmctl network stop %s", unit, network->name);
        doctor_find(doctor, FINDING_ERROR, thing, remedy, "its server of addresses and names does not run: %s is %s; the journal says why, and when its VMs have ended and it is stopped the next one starts it anew",
            unit, server_state(doctor, network));
    }
}

/* ---- ports 53 and 67 ---- */

static bool is_any(const Address *address)
{
    return address->family == AF_UNSPEC || (address->family == AF_INET ? address->v4.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&address->v6));
}

/* Whether a socket gets what a server of this network wants, or keeps it from being bound. */
static bool takes_from(const Listener *listener, const Network *network)
{
    const NetworkRun *run = network->run;
    if (listener->index)
        return run && listener->index == run->index;
    if (is_any(&listener->address))
        return listener->port != 67 || listener->address.family != AF_INET6;
    for (guint i = 0; run && i < run->addresses->len; i++) {
        Address own = g_array_index(run->addresses, Address, i);
        own.prefix = own.family == AF_INET ? 32 : 128;
        if (address_equal(&own, &listener->address))
            return true;
    }
    return false;
}

static char *listener_remedy(const DoctorListener *one)
{
    const Listener *listener = &one->listener;
    if (!one->unit)
        return g_strdup_printf("ss -lnp%c 'sport = :%u'", listener->udp ? 'u' : 't', listener->port);
    if (g_str_equal(one->unit, "dnsmasq.service"))
        return g_strdup("printf 'bind-dynamic\\nexcept-interface=vmbr-*\\n' > /etc/dnsmasq.d/vmd.conf; systemctl restart dnsmasq");
    return g_strdup_printf("systemctl disable --now %s", one->unit);
}

/* One that is there beside a server that works can be that server itself, unless its unit says no. It matters for requests for addresses,
 * which are broadcast: both would answer. */
static void look_at_listener(Doctor *doctor, const DoctorListener *one, const Network *network)
{
    const Listener *listener = &one->listener;
    bool served = is_served(doctor, network), harmless = served && (listener->port != 67 || !one->unit);
    if (harmless || !takes_from(listener, network))
        return;
    g_autofree char *thing = g_strdup_printf("port %u (%s)", listener->port, listener->udp ? "UDP" : "TCP"), *remedy = listener_remedy(one);
    g_autofree char *who = one->unit ? g_strdup(one->unit) : g_strdup("another program");
    doctor_find(doctor, served ? FINDING_WARNING : FINDING_ERROR, thing, remedy, 
        served ? "%s has it, too, and may answer guests of network \"%s\"; it should listen on other links only, or be stopped" :
                 "%s has it, and the server of network \"%s\" needs it; it should listen on other links only, or be stopped",
        who, network->name);
}

static bool can_have_server(const Network *network)
{
    if (network->run)
        return network->run->dhcp;
    return network->state == NETWORK_FAILED && network->mode != NETWORK_BRIDGE;
}

void doctor_check_taken_ports(Doctor *doctor)
{
    size_t n;
    g_autofree Network **networks = manager_list_networks(doctor->manager, &n);
    for (guint i = 0; doctor->listeners && i < doctor->listeners->len; i++) {
        const DoctorListener *one = doctor->listeners->pdata[i];
        if (one->unit && g_str_has_prefix(one->unit, "vmnet-"))
            continue;
        for (size_t j = 0; j < n; j++)
            if (can_have_server(networks[j]) && is_wanted(doctor, networks[j]))
                look_at_listener(doctor, one, networks[j]);
    }
}

/* ---- bridges and taps ---- */

static void look_at_bridge(Doctor *doctor, const char *bridge, const char *network)
{
    Link link;
    g_autofree char *thing = g_strdup_printf("link %s", bridge), *up = g_strdup_printf("ip link set dev %s up", bridge);
    g_autofree char *anew = network ? g_strdup_printf("vmctl network stop %s", network) : NULL;
    if (links_get(doctor->manager->links, bridge, &link) < 0)
        doctor_find(doctor, FINDING_ERROR, thing, anew, "it is gone, and guests were on it; when they have ended and it is stopped the next one makes it anew");
    else if (!link.up)
        doctor_find(doctor, FINDING_ERROR, thing, up, "it is down");
}

static void look_at_tap(Doctor *doctor, const Port *port)
{
    Link link, bridge;
    g_autofree char *thing = g_strdup_printf("link %s", port->link), *up = g_strdup_printf("ip link set dev %s up", port->link);
    g_autofree char *in = g_strdup_printf("ip link set dev %s master %s", port->link, port->bridge);
    if (links_get(doctor->manager->links, port->link, &link) < 0)
        return; /* going away with its VM */
    if (!link.up && port->link_up)
        doctor_find(doctor, FINDING_ERROR, thing, up, "it is down: it is the host's end of the cable of VM \"%s\"", port->vm);
    if (!port->macvtap && links_get(doctor->manager->links, port->bridge, &bridge) >= 0 && link.master != bridge.index)
        doctor_find(doctor, FINDING_ERROR, thing, in, "somebody has taken it out of %s: it is the host's end of the cable of VM \"%s\"", port->bridge, port->vm);
}

void doctor_check_links(Doctor *doctor)
{
    g_autoptr(GHashTable) bridges = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        g_hash_table_add(bridges, network->run->bridge);
        look_at_bridge(doctor, network->run->bridge, network->name);
    }
    for (guint i = 0; i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        if (g_hash_table_add(bridges, port->bridge))
            look_at_bridge(doctor, port->bridge, NULL);
        look_at_tap(doctor, port);
    }
}

/* ---- who else looks after links ---- */

/* A new string; NULL: networkd does not. It writes down what it does with each link. */
static char *networkd_file(const char *name, Links *links)
{
    Link link;
    if (links_get(links, name, &link) < 0)
        return NULL;
    g_autofree char *path = g_strdup_printf("/run/systemd/netif/links/%d", link.index), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    char *file = NULL;
    bool unmanaged = false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        unmanaged |= g_str_equal(lines[i], "ADMIN_STATE=unmanaged");
        if (!file && g_str_has_prefix(lines[i], "NETWORK_FILE="))
            file = g_strdup(lines[i] + strlen("NETWORK_FILE="));
    }
    if (unmanaged)
        g_clear_pointer(&file, g_free);
    return file;
}

static void look_at_managers(Doctor *doctor, const char *name)
{
    g_autofree char *thing = g_strdup_printf("link %s", name), *file = networkd_file(name, doctor->manager->links);
    if (g_hash_table_contains(doctor->managed, name))
        doctor_find(doctor, FINDING_ERROR, thing,
            "printf '[keyfile]\\nunmanaged-devices+=interface-name:vmbr-*;interface-name:vmtap*;interface-name:vmmt*\\n' > "
            "/etc/NetworkManager/conf.d/80-vmd.conf; nmcli general reload",
            "NetworkManager manages it, and may take it out of its bridge or take away its addresses");
    if (file)
        doctor_find(doctor, FINDING_ERROR, thing,
            "printf '[Match]\\nName=vmbr-* vmtap* vmmt*\\n[Link]\\nUnmanaged=yes\\n' > /etc/systemd/network/00-vmd.network; networkctl reload",
            "systemd-networkd manages it (%s), and may take away its addresses", file);
}

void doctor_check_managers(Doctor *doctor)
{
    for (guint i = 0; i < doctor->networks->len; i++)
        look_at_managers(doctor, ((const Network *) doctor->networks->pdata[i])->run->bridge);
    for (guint i = 0; i < doctor->ports->len; i++)
        look_at_managers(doctor, ((const Port *) doctor->ports->pdata[i])->link);
}

/* ---- guests ---- */

void doctor_check_cables(Doctor *doctor)
{
    for (guint i = 0; i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        if (port->link_up)
            continue;
        g_autofree char *thing = thing_of_vm(port->vm);
        g_autofree char *remedy = g_strdup_printf("vmctl set %s -p 'Network %s.Link=up'", port->vm, port->section);
        doctor_find(doctor, FINDING_WARNING, thing, remedy, "the cable of its interface \"%s\" is not plugged in (Link=down)", port->section);
    }
}

static bool has_lease(const Port *port)
{
    const GArray *leases = port->network->run->leases;
    for (guint i = 0; i < leases->len; i++)
        if (memcmp(&g_array_index(leases, Lease, i).mac, &port->mac, sizeof port->mac) == 0)
            return true;
    return false;
}

/* It may have an address that it has not asked for, so this is no error. */
void doctor_check_leases(Doctor *doctor)
{
    uint64_t now = (uint64_t) g_get_real_time();
    for (guint i = 0; i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        const VM *vm = manager_find_vm(doctor->manager, port->vm);
        if (!port->network || !port->network->run || !port->network->run->dhcp || !port->link_up || has_lease(port))
            continue;
        if (!vm || vm->state != VM_RUNNING || now < vm->since + LEASE_AFTER_USEC)
            continue;
        g_autofree char *thing = thing_of_vm(port->vm), *remedy = g_strdup_printf("vmctl console %s", port->vm);
        doctor_find(doctor, FINDING_WARNING, thing, remedy, "its interface \"%s\" has been up for %u s and has got no address; see in the guest whether it asks for one (DHCP)", port->section,
            (unsigned) ((now - vm->since) / USEC_PER_SEC));
    }
}
