/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dnsmasq.h"

#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "lease.h"
#include "value.h"

#define LEASE_MIN 120U /* s; dnsmasq makes less that much */
#define RA_INTERVAL 600U
#define RA_LIFETIME 1800U
#define V6_FIRST 2U
#define V6_LAST 0xffffU

/* Of all networks alike. It asks nobody's settings and keeps nothing but its leases. */
static const char common[] =
    "# Made by vmd. Changes are lost.\n"
    "user=root\n" /* stays who it was started as */
    "group=root\n"
    "pid-file=\n"
    "log-facility=-\n"
    "quiet-dhcp\nquiet-dhcp6\nquiet-ra\n" /* guests do not fill the journal */
    "bind-dynamic\n"
    "except-interface=lo\n"
    "no-hosts\n"
    "domain-needed\n";

static void append_lease_time(GString *s, uint64_t usec)
{
    if (usec == USEC_INFINITY)
        g_string_append(s, ",infinite\n");
    else
        g_string_append_printf(s, ",%u\n", (unsigned) CLAMP(usec / USEC_PER_SEC, LEASE_MIN, UINT32_MAX - 1));
}

static void append_v4(GString *s, const DnsmasqSpec *spec)
{
    const Address *own = NULL;
    for (size_t i = 0; i < spec->n_addresses; i++)
        if (address_contains(&spec->addresses[i], &spec->first))
            own = &spec->addresses[i];
    if (!own)
        return;

    g_autofree char *first = address_to_string_bare(&spec->first), *last = address_to_string_bare(&spec->last);
    Address mask = {.family = AF_INET, .prefix = 32,
        .v4.s_addr = htonl(own->prefix == 0 ? 0 : UINT32_MAX << (32 - own->prefix))};
    g_autofree char *netmask = address_to_string_bare(&mask);
    g_string_append_printf(s, "dhcp-range=%s,%s,%s", first, last, netmask);
    append_lease_time(s, spec->lease_usec);
    uint64_t n = ntohl(spec->last.v4.s_addr) - ntohl(spec->first.v4.s_addr) + UINT64_C(1);
    g_string_append_printf(s, "dhcp-lease-max=%u\n", (unsigned) MIN(n, LEASES_MAX));
    if (!spec->router)
        g_string_append(s, "dhcp-option=3\n"); /* an empty one is not sent: no default route */
    if (spec->mtu)
        g_string_append_printf(s, "dhcp-option=26,%u\n", spec->mtu);
}

/* Of 64 bits guests choose their addresses themselves; of longer prefixes they are given one. */
static void append_v6(GString *s, const DnsmasqSpec *spec)
{
    bool any = false;
    for (size_t i = 0; i < spec->n_addresses; i++) {
        const Address *a = &spec->addresses[i];
        Address first, last;
        if (a->family != AF_INET6)
            continue;
        if (a->prefix == 64) {
            Address network;
            (void) address_nth(a, 0, &network);
            g_autofree char *text = address_to_string_bare(&network);
            g_string_append_printf(s, "dhcp-range=%s,ra-stateless,ra-names,64", text);
        } else if (a->prefix > 64 && address_nth(a, V6_FIRST, &first) && address_nth(a, MIN(V6_LAST, address_count(a) - 1), &last)) {
            g_autofree char *from = address_to_string_bare(&first), *to = address_to_string_bare(&last);
            g_string_append_printf(s, "dhcp-range=%s,%s,%u", from, to, a->prefix);
        } else
            continue;
        append_lease_time(s, spec->lease_usec);
        any = true;
    }
    if (!any)
        return;
    g_string_append_printf(s, "enable-ra\nra-param=%s,", spec->bridge);
    if (spec->mtu)
        g_string_append_printf(s, "mtu:%u,", spec->mtu);
    g_string_append_printf(s, "%u,%u\n", RA_INTERVAL, spec->router ? RA_LIFETIME : 0);
}

char *dnsmasq_config(const DnsmasqSpec *spec)
{
    GString *s = g_string_new(common);
    g_string_append_printf(s, "interface=%s\n", spec->bridge);
    if (!spec->router)
        g_string_append(s, "no-resolv\n");
    if (spec->domain)
        g_string_append_printf(s, "domain=%s\nlocal=/%s/\nexpand-hosts\n", spec->domain, spec->domain);
    if (spec->dhcp) {
        /* A guest has the name and the address that its VM has here, whatever it asks for. */
        g_string_append_printf(s, "dhcp-leasefile=%s\ndhcp-hostsfile=%s\n", spec->lease_file, spec->hosts_file);
        g_string_append(s, "dhcp-authoritative\ndhcp-no-override\ndhcp-ignore-names\n"
            "dhcp-ignore-clid\n"); /* guests say what they like, and clones of one image say the same */
        append_v4(s, spec);
        append_v6(s, spec);
    }
    return g_string_free(s, FALSE);
}

/* A VM's name as one label of a host's; "" where nothing is left of it. */
static char *label(const char *name)
{
    char *s = g_strndup(name ? name : "", 63);
    for (char *c = s; *c; c++)
        *c = g_ascii_isalnum(*c) ? g_ascii_tolower(*c) : '-';
    for (size_t n = strlen(s); n > 0 && s[n - 1] == '-'; n--)
        s[n - 1] = '\0';
    size_t skipped = strspn(s, "-");
    memmove(s, s + skipped, strlen(s + skipped) + 1);
    return s;
}

char *dnsmasq_hosts(const DnsmasqHost *hosts, size_t n)
{
    GString *s = g_string_new(NULL);
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < n; i++) {
        g_autofree char *mac = mac_to_string(&hosts[i].mac), *name = label(hosts[i].name), *v4 = NULL;
        if (hosts[i].v4.family == AF_INET)
            v4 = address_to_string_bare(&hosts[i].v4);
        bool named = *name && !g_hash_table_contains(known, name); /* "a.b" and "a-b" are the same: the first has it */
        if (!v4 && !named)
            continue;
        g_string_append(s, mac);
        if (v4)
            g_string_append_printf(s, ",%s", v4);
        if (named) {
            g_string_append_printf(s, ",%s", name);
            g_hash_table_add(known, g_steal_pointer(&name));
        }
        g_string_append_c(s, '\n');
    }
    return g_string_free(s, FALSE);
}
