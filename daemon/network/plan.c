/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plan: what a network's settings come to on this host: a subnet that nobody has, the range in it, the bridge's name. */

#include <string.h>

#include "link.h"
#include "manager.h"

/* IPv4 subnets are looked for in 192.168.100.0 to 192.168.251.0, from a place that is the network's own. */
#define SUBNET_FIRST 100U
#define SUBNET_COUNT 152U

#define NETWORK "Network"

static bool invalid(const Settings *settings, const char *key, const char *remedy, Error **ret_error, const char *format, ...)
    G_GNUC_PRINTF(5, 6);
static bool invalid(const Settings *settings, const char *key, const char *remedy, Error **ret_error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *cause = g_strdup_vprintf(format, ap);
    va_end(ap);
    return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, NETWORK, key), remedy, "%s", cause);
}

static bool parse_addresses(const Settings *settings, GArray *addresses, Error **ret_error)
{
    const char *const *words = settings_get_words(settings, NETWORK, "Address");
    for (size_t i = 0; words && words[i]; i++) {
        Address address;
        if (address_parse(words[i], &address) < 0 || !strchr(words[i], '/'))
            return invalid(settings, "Address", "Write it as 192.168.100.1/24 or fd00:1::1/64", ret_error,
                "\"%.64s\" is no address with a prefix", words[i]);
        unsigned longest = address.family == AF_INET ? 30 : 126;
        if (address.prefix < 8 || address.prefix > longest)
            return invalid(settings, "Address", NULL, ret_error, "a prefix of %u bits leaves no sensible network", address.prefix);
        if (!address_is_host(&address))
            return invalid(settings, "Address", "Give the host an address of its own in it, such as the first one", ret_error,
                "%s cannot be the host's address", words[i]);
        for (guint j = 0; j < addresses->len; j++)
            if (address_overlaps(&address, &g_array_index(addresses, Address, j)))
                return invalid(settings, "Address", NULL, ret_error, "two of its networks overlap: %s is in both", words[i]);
        g_array_append_val(addresses, address);
    }
    return true;
}

static const Address *find_family(const GArray *addresses, int family)
{
    for (guint i = 0; i < addresses->len; i++)
        if (g_array_index(addresses, Address, i).family == family)
            return &g_array_index(addresses, Address, i);
    return NULL;
}

/* All of the subnet but its ends, where Range= does not say otherwise. */
static bool plan_range(const Settings *settings, const Address *network, Address *ret_first, Address *ret_last, Error **ret_error)
{
    const char *range = settings_get_string(settings, NETWORK, "Range");
    if (!range) {
        (void) address_nth(network, 1, ret_first);
        (void) address_nth(network, address_count(network) - 2, ret_last);
        return true;
    }
    g_auto(GStrv) ends = g_strsplit(range, "-", -1);
    if (g_strv_length(ends) != 2 || address_parse(g_strstrip(ends[0]), ret_first) < 0 || address_parse(g_strstrip(ends[1]), ret_last) < 0)
        return invalid(settings, "Range", "Write it as 192.168.100.10-192.168.100.99", ret_error, "\"%s\" is no range of addresses", range);
    ret_first->prefix = ret_last->prefix = network->prefix;
    if (!address_contains(network, ret_first) || !address_contains(network, ret_last) || !address_is_host(ret_first) || !address_is_host(ret_last))
        return invalid(settings, "Range", NULL, ret_error, "%s is not within the network's IPv4 subnet", range);
    if (address_index(ret_first) > address_index(ret_last))
        return invalid(settings, "Range", "Write the lower address first", ret_error, "%s has no address", range);
    return true;
}

static bool plan_reservations(const Settings *settings, const Address *v4, const GArray *addresses, GHashTable *reservations, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, "Reservation");
    for (size_t i = 0; sections && sections[i]; i++) {
        g_autoptr(GHashTable) none = NULL;
        g_autofree char *kind = NULL, *name = NULL;
        g_autofree NetworkReservation *reservation = g_new0(NetworkReservation, 1);
        const char *address = settings_get_string(settings, sections[i], "Address"), *mac = settings_get_string(settings, sections[i], "MAC");
        if (!settings_section_split(&network_schema, sections[i], &kind, &name, ret_error))
            return false;
        if (!address) /* a drop-in may have it */
            continue;
        const char *where = settings_origin(settings, sections[i], "Address");
        if (address_parse(address, &reservation->address) < 0 || strchr(address, '/') || reservation->address.family != AF_INET)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, where, NULL, "\"%s\" is no IPv4 address", address);
        if (mac && mac_parse(mac, &reservation->mac) < 0)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, sections[i], "MAC"), NULL,
                "\"%s\" is no MAC address that a guest can have", mac);
        if (v4) {
            Address inside = reservation->address;
            inside.prefix = v4->prefix;
            if (!address_contains(v4, &inside) || !address_is_host(&inside))
                return error_set(ret_error, ERROR_INVALID_SETTINGS, where, NULL, "%s is not one of the network's addresses", address);
            reservation->address.prefix = v4->prefix;
        }
        for (guint j = 0; j < addresses->len; j++) {
            const Address *own = &g_array_index(addresses, Address, j);
            if (own->family == AF_INET && own->v4.s_addr == reservation->address.v4.s_addr)
                return error_set(ret_error, ERROR_INVALID_SETTINGS, where, NULL, "%s is the host's own", address);
        }
        GHashTableIter iter;
        gpointer other_name, other;
        g_hash_table_iter_init(&iter, reservations);
        while (g_hash_table_iter_next(&iter, &other_name, &other))
            if (((NetworkReservation *) other)->address.v4.s_addr == reservation->address.v4.s_addr)
                return error_set(ret_error, ERROR_INVALID_SETTINGS, where, NULL, "%s is reserved twice, for %s too", address, (char *) other_name);
        g_hash_table_insert(reservations, g_steal_pointer(&name), g_steal_pointer(&reservation));
    }
    return true;
}

static bool is_domain(const char *text)
{
    g_auto(GStrv) labels = g_strsplit(text, ".", -1);
    for (size_t i = 0; labels[i]; i++) {
        size_t n = strlen(labels[i]);
        if (n == 0 || n > 63 || labels[i][0] == '-' || labels[i][n - 1] == '-')
            return false;
        for (const char *p = labels[i]; *p; p++)
            if (!g_ascii_isalnum(*p) && *p != '-')
                return false;
    }
    return labels[0] != NULL;
}

/* As firewalld has it. */
static bool is_zone(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_')
            return false;
    return *text;
}

/* Keys that mean nothing on somebody else's bridge. */
static bool check_bridged(const Settings *settings, Error **ret_error)
{
    static const char *const keys[] = {"Address", "Range", "Domain", "DHCP", "MTU", "HostAccess", "Zone"};
    if (!settings_get_string(settings, NETWORK, "Bridge"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, NETWORK, "Mode"), "Set Bridge=, to a name or to auto",
            "Mode=bridge needs the bridge that it is about");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (settings_has(settings, NETWORK, keys[i]))
            return invalid(settings, keys[i], "Remove it", ret_error, "%s= means nothing with Mode=bridge: that bridge is not vmd's", keys[i]);
    return true;
}

bool network_check_settings(const char *name, const Settings *settings, Error **ret_error)
{
    g_autoptr(NetworkRun) run = network_run_new();
    const char *bridge = settings_get_string(settings, NETWORK, "Bridge"), *domain = settings_get_string(settings, NETWORK, "Domain");
    const char *zone = settings_get_string(settings, NETWORK, "Zone");
    NetworkMode mode = network_mode_from_string(settings_get_string(settings, NETWORK, "Mode"));
    if (bridge && !link_name_is_valid(bridge))
        return invalid(settings, "Bridge", "A link's name has at most 15 bytes", ret_error, "\"%s\" cannot be the name of a link", bridge);
    if (mode == NETWORK_BRIDGE)
        return check_bridged(settings, ret_error);
    if (bridge && g_str_equal(bridge, "auto"))
        return invalid(settings, "Bridge", "Set Mode=bridge too", ret_error, "auto is for Mode=bridge");
    if (zone && !is_zone(zone))
        return invalid(settings, "Zone", "'firewall-cmd --get-zones' lists them", ret_error, "\"%s\" cannot be the name of a zone", zone);
    if (!is_domain(domain))
        return invalid(settings, "Domain", NULL, ret_error, "\"%s\" is no domain", domain);
    if (!parse_addresses(settings, run->addresses, ret_error))
        return false;
    const Address *v4 = find_family(run->addresses, AF_INET);
    if (mode == NETWORK_ROUTED && run->addresses->len == 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, NETWORK, "Mode"), "Set Address=",
            "Mode=routed needs addresses, since others must have a route to them");
    if (!v4 && settings_has(settings, NETWORK, "Range"))
        return invalid(settings, "Range", "Set Address= too", ret_error, "Range= needs an IPv4 Address=");
    if (v4 && !plan_range(settings, v4, &run->first, &run->last, ret_error))
        return false;
    return plan_reservations(settings, v4, run->addresses, run->reservations, ret_error);
}

/* Networks of ours that run are links with addresses too, so the host tells of them. */
static bool is_free(Network *network, const Address *address, char **ret_who, Error **ret_error)
{
    return links_find_collision(network->manager->links, address, 0, ret_who, ret_error);
}

static bool check_free(Network *network, const GArray *addresses, Error **ret_error)
{
    for (guint i = 0; i < addresses->len; i++) {
        const Address *address = &g_array_index(addresses, Address, i);
        g_autofree char *who = NULL, *text = address_to_string(address), *thing = g_strdup_printf("Network \"%s\"", network->name);
        if (!is_free(network, address, &who, ret_error))
            return false;
        if (who)
            return error_set(ret_error, ERROR_IN_USE, thing, "Give it another Address=, or none, then a free one is found",
                "%s overlaps with %s", text, who);
    }
    return true;
}

static bool find_subnet(Network *network, Address *ret, Error **ret_error)
{
    guint start = g_str_hash(network->name);
    for (guint i = 0; i < SUBNET_COUNT; i++) {
        g_autofree char *text = g_strdup_printf("192.168.%u.1/24", SUBNET_FIRST + (start + i) % SUBNET_COUNT), *who = NULL;
        if (address_parse(text, ret) < 0 || !is_free(network, ret, &who, ret_error))
            return false;
        if (!who)
            return true;
    }
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
    return error_set(ret_error, ERROR_IN_USE, thing, "Set Address=", "no subnet of 192.168.0.0/16 is free");
}

/* The same each time on this host, and no other host's. */
static Address own_ula(const Network *network)
{
    g_autofree char *machine = NULL, *seed = NULL;
    (void) g_file_get_contents("/etc/machine-id", &machine, NULL, NULL);
    seed = g_strdup_printf("vmd %s %s", machine ?: "", network->name);
    Address prefix = address_ula(seed), first;
    return address_nth(&prefix, 1, &first) ? first : prefix;
}

static bool plan_addresses(Network *network, const Settings *settings, NetworkRun *run, Error **ret_error)
{
    if (!parse_addresses(settings, run->addresses, ret_error))
        return false;
    if (run->addresses->len > 0)
        return check_free(network, run->addresses, ret_error);
    Address v4, v6 = own_ula(network);
    g_autofree char *who = NULL;
    if (!find_subnet(network, &v4, ret_error))
        return false;
    g_array_append_val(run->addresses, v4);
    if (is_free(network, &v6, &who, NULL) && !who)
        g_array_append_val(run->addresses, v6);
    return true;
}

static char *bridge_name(const char *name)
{
    g_autofree char *plain = g_strconcat("vmbr-", name, NULL);
    if (link_name_is_valid(plain))
        return g_steal_pointer(&plain);
    return g_strdup_printf("vmbr-%08x", g_str_hash(name));
}

char *network_find_uplink_bridge(Manager *manager, const char *thing, Error **ret_error)
{
    Link link = {.name = "?"};
    int index;
    g_autoptr(Error) error = NULL;
    if (!links_default_route(manager->links, &index, &error)) {
        if (error)
            error_propagate(ret_error, g_steal_pointer(&error));
        else
            error_set(ret_error, ERROR_FAILED, thing, "Name the bridge", "Bridge=auto means the bridge with the default route, and there is none");
        return NULL;
    }
    if (links_get_by_index(manager->links, index, &link) < 0 || !g_str_equal(link.kind, "bridge")) {
        error_set(ret_error, ERROR_FAILED, thing, "Make a bridge of it, or use Macvtap= or Network=default",
            "Bridge=auto means the bridge with the default route, and that is on %s, which is no bridge", link.name);
        return NULL;
    }
    return g_strdup(link.name);
}

static bool plan_bridge(Network *network, const Settings *settings, NetworkRun *run, Error **ret_error)
{
    const char *bridge = settings_get_string(settings, NETWORK, "Bridge");
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
    if (run->mode != NETWORK_BRIDGE) {
        run->bridge = bridge ? g_strdup(bridge) : bridge_name(network->name);
        return true;
    }
    run->bridge = g_str_equal(bridge, "auto") ? network_find_uplink_bridge(network->manager, thing, ret_error) : g_strdup(bridge);
    Link link;
    if (!run->bridge)
        return false;
    if (links_get(network->manager->links, run->bridge, &link) < 0)
        return error_set(ret_error, ERROR_FAILED, run->bridge, "Make it, or give the network another Bridge=", "there is no such bridge");
    if (!g_str_equal(link.kind, "bridge"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, run->bridge, "Name a bridge", "this link is no bridge");
    run->index = link.index;
    return true;
}

NetworkRun *network_plan(Network *network, const Settings *settings, Error **ret_error)
{
    g_autoptr(NetworkRun) run = network_run_new();
    run->mode = network_mode_from_string(settings_get_string(settings, NETWORK, "Mode"));
    run->isolate = settings_get_bool(settings, NETWORK, "Isolate");
    run->filter = settings_get_bool(settings, NETWORK, "Filter");
    run->kept = settings_get_bool(settings, NETWORK, "Autostart");
    if (!network_check_settings(network->name, settings, ret_error) || !plan_bridge(network, settings, run, ret_error))
        return NULL;
    if (run->mode == NETWORK_BRIDGE)
        return g_steal_pointer(&run);

    run->dhcp = settings_get_bool(settings, NETWORK, "DHCP");
    run->domain = g_strdup(settings_get_string(settings, NETWORK, "Domain"));
    run->mtu = (unsigned) settings_get_number(settings, NETWORK, "MTU");
    run->host_access = settings_get_bool(settings, NETWORK, "HostAccess");
    run->zone = g_strdup(settings_get_string(settings, NETWORK, "Zone") ?: run->host_access ? "vmd-host-access" : "vmd");
    run->lease_usec = settings_get_number(settings, NETWORK, "LeaseTime");
    if (!plan_addresses(network, settings, run, ret_error))
        return NULL;
    const Address *v4 = find_family(run->addresses, AF_INET);
    if (v4 && !plan_range(settings, v4, &run->first, &run->last, ret_error))
        return NULL;
    if (!plan_reservations(settings, v4, run->addresses, run->reservations, ret_error))
        return NULL;
    return g_steal_pointer(&run);
}
