/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Firewall: the rules as text. Each network and each filtered port has chains of its own, found by a map: what a packet
 * costs does not grow with their number. */

#include <arpa/inet.h>
#include <string.h>

#include "firewall.h"
#include "link.h"

/* In both idioms: what is not there cannot be deleted, so it is made first. */
static const char clean[] = "table inet vmd\ndelete table inet vmd\ntable bridge vmd\ndelete table bridge vmd\n";

/* What a VM may ask of the host. */
static const char services[] =
    "\tchain services {\n"
    "\t\tct state established,related accept\n"
    "\t\tmeta nfproto ipv4 udp dport 67 accept\n"
    "\t\tmeta nfproto ipv6 udp dport 547 accept\n"
    "\t\tmeta l4proto { tcp, udp } th dport 53 accept\n"
    "\t\ticmp type echo-request accept\n"
    "\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, echo-request } accept\n"
    "\t\tdrop\n"
    "\t}\n"
    /* The host believes no guest's routers, whatever else it lets in. */
    "\tchain anything {\n"
    "\t\ticmpv6 type { nd-router-advert, nd-redirect } drop\n"
    "\t}\n";

typedef struct Text {
    GString *s;
    const FirewallState *state;
} Text;

static const FirewallNetwork *network_at(const FirewallState *state, guint i)
{
    return state->networks->pdata[i];
}

/* `iifname vmap { "br0" : jump from0, ... }` */
static void put_jumps(Text *text, const char *field, const char *chain, bool by_access)
{
    g_string_append_printf(text->s, "\t\t%s vmap {", field);
    for (guint i = 0; i < text->state->networks->len; i++) {
        const FirewallNetwork *n = network_at(text->state, i);
        g_string_append_printf(text->s, "%s \"%s\" : ", i > 0 ? "," : "", n->bridge);
        if (by_access)
            g_string_append_printf(text->s, "jump %s", n->host_access ? "anything" : "services");
        else
            g_string_append_printf(text->s, "jump %s%u", chain, i);
    }
    g_string_append(text->s, " }\n");
}

static char *bridge_set(const FirewallState *state)
{
    GString *s = g_string_new("{");
    for (guint i = 0; i < state->networks->len; i++)
        g_string_append_printf(s, "%s \"%s\"", i > 0 ? "," : "", network_at(state, i)->bridge);
    g_string_append(s, " }");
    return g_string_free(s, FALSE);
}

/* A bridge's own frames pass here where br_netfilter is on. */
static void put_network_chains(Text *text, guint i)
{
    const FirewallNetwork *n = network_at(text->state, i);
    g_string_append_printf(text->s, "\tchain from%u {\n\t\toifname \"%s\" accept\n", i, n->bridge);
    if (n->mode == FIREWALL_ISOLATED)
        g_string_append(text->s, "\t\tdrop\n");
    g_string_append_printf(text->s, "\t}\n\tchain to%u {\n", i);
    switch (n->mode) {
    case FIREWALL_NAT:
        g_string_append(text->s, "\t\tct state established,related accept\n\t\tct status dnat accept\n\t\tdrop\n");
        break;
    case FIREWALL_ROUTED:
        g_string_append(text->s, "\t\taccept\n");
        break;
    case FIREWALL_ISOLATED:
        g_string_append(text->s, "\t\tdrop\n");
        break;
    }
    g_string_append(text->s, "\t}\n");
}

static char *network_text(const Address *address)
{
    Address network;
    (void) address_nth(address, 0, &network);
    return address_to_string(&network);
}

static void put_masquerade(Text *text, const FirewallNetwork *n)
{
    for (guint i = 0; i < n->addresses->len; i++) {
        const Address *a = &g_array_index(n->addresses, Address, i);
        g_autofree char *net = network_text(a);
        const char *ip = a->family == AF_INET ? "ip" : "ip6";
        /* A guest that reaches another by the host's port: the answer must come back this way. */
        g_string_append_printf(text->s, "\t\toifname \"%s\" %s saddr %s ct status dnat masquerade\n", n->bridge, ip, net);
        if (n->mode == FIREWALL_NAT)
            g_string_append_printf(text->s, "\t\t%s saddr %s oifname != \"%s\" %s daddr != { %s, %s } masquerade\n", ip, net, n->bridge, ip, net,
                a->family == AF_INET ? "224.0.0.0/4, 255.255.255.255" : "fe80::/10, ff00::/8");
    }
    /* From the host's own loopback: a guest has no way back to that. */
    g_string_append_printf(text->s, "\t\toifname \"%s\" ip saddr 127.0.0.0/8 masquerade\n", n->bridge);
    g_string_append_printf(text->s, "\t\toifname \"%s\" ip6 saddr ::1 masquerade\n", n->bridge);
}

static bool listens_any(const Address *a)
{
    return a->family == AF_UNSPEC || (a->family == AF_INET ? a->v4.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&a->v6));
}

/* Forwards of one family, one protocol, of any address of the host or of one: one map. Of two that want the same port, which
 * does not come this far, the first has it: nft would refuse all of it. */
static void put_map(Text *text, int family, bool udp, bool any)
{
    const char *ip = family == AF_INET ? "ip" : "ip6", *protocol = udp ? "udp" : "tcp";
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) map = g_string_new(NULL);
    for (guint i = 0; i < text->state->forwards->len; i++) {
        const FirewallForward *f = text->state->forwards->pdata[i];
        const Address *to = family == AF_INET ? &f->to_v4 : &f->to_v6;
        if (f->udp != udp || to->family != family || (f->listen.family != AF_UNSPEC && f->listen.family != family) || listens_any(&f->listen) != any)
            continue;
        g_autofree char *guest = address_to_string_bare(to), *listen = any ? NULL : address_to_string_bare(&f->listen);
        const char *of = listen ? listen : "", *dot = listen ? " . " : "";
        if (f->to == f->first && f->last > f->first) { /* the ports stay: no element each */
            g_string_append_printf(text->s, "\t\t%s%s%s%s %s dport %u-%u dnat ip%s to %s\n", any ? "meta nfproto ipv" : ip, any ? (family == AF_INET ? "4" : "6") : " daddr ",
                of, "", protocol, f->first, f->last, family == AF_INET ? "" : "6", guest);
            continue;
        }
        for (unsigned port = f->first; port <= f->last; port++) {
            g_autofree char *key = g_strdup_printf("%s%s%u", of, dot, port);
            if (g_hash_table_contains(known, key))
                continue;
            g_string_append_printf(map, "%s %s : %s . %u", map->len > 0 ? "," : "", key, guest, f->to + (port - f->first));
            g_hash_table_add(known, g_steal_pointer(&key));
        }
    }
    if (map->len == 0)
        return;
    if (any)
        g_string_append_printf(text->s, "\t\tdnat %s to %s dport map {%s }\n", ip, protocol, map->str);
    else
        g_string_append_printf(text->s, "\t\tdnat %s to %s daddr . %s dport map {%s }\n", ip, ip, protocol, map->str);
}

static void put_forwards(Text *text)
{
    static const int families[] = {AF_INET, AF_INET6};
    g_string_append(text->s, "\tchain forwards {\n");
    for (unsigned any = 0; any < 2; any++)
        for (unsigned f = 0; f < 2; f++)
            for (unsigned udp = 0; udp < 2; udp++)
                put_map(text, families[f], udp, any);
    g_string_append(text->s, "\t}\n"
                             "\tchain prerouting {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t\tfib daddr type local jump forwards\n\t}\n"
                             "\tchain output {\n\t\ttype nat hook output priority -100; policy accept;\n\t\tfib daddr type local jump forwards\n\t}\n");
}

static void put_networks(Text *text)
{
    g_autofree char *bridges = bridge_set(text->state);
    g_string_append(text->s, "table inet vmd {\n");
    g_string_append(text->s, services);
    for (guint i = 0; i < text->state->networks->len; i++)
        put_network_chains(text, i);

    g_string_append(text->s, "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n");
    put_jumps(text, "iifname", "from", false);
    put_jumps(text, "oifname", "to", false);
    g_string_append(text->s, "\t}\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n");
    put_jumps(text, "iifname", NULL, true);
    /* A bridge with route_localnet lets in what claims to be of the host's loopback, or wants to go there. */
    g_string_append_printf(text->s, "\t}\n\tchain loopback {\n\t\ttype filter hook prerouting priority raw; policy accept;\n"
                                    "\t\tiifname %s ip daddr 127.0.0.0/8 drop\n\t\tiifname %s ip saddr 127.0.0.0/8 drop\n\t}\n", bridges, bridges);
    g_string_append(text->s, "\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n");
    for (guint i = 0; i < text->state->networks->len; i++)
        put_masquerade(text, network_at(text->state, i));
    g_string_append(text->s, "\t}\n");
    if (text->state->forwards->len > 0)
        put_forwards(text);
    g_string_append(text->s, "}\n");
}

/* The first bits of an address as nft writes a number of that many. */
static char *leading_bits(const Address *a, unsigned n)
{
    char digits[35];
    uint8_t v[16] = {0};
    /* Shifted to the right by what is left over. */
    unsigned shift = (8 - n % 8) % 8, length = (n + 7) / 8;
    for (unsigned i = 0; i < length; i++)
        v[i] = (uint8_t) (a->v6.s6_addr[i] >> shift | (i > 0 && shift ? a->v6.s6_addr[i - 1] << (8 - shift) : 0));
    for (unsigned i = 0; i < length; i++)
        g_snprintf(digits + 2 * i, 3, "%02x", v[i]);
    return g_strdup_printf("0x%.*s", (int) (2 * length), digits);
}

static Address link_local(const struct ether_addr *mac)
{
    static const Address prefix = {.family = AF_INET6, .v6.s6_addr = {0xfe, 0x80}, .prefix = 64};
    Address a = prefix;
    (void) address_eui64(&prefix, mac, &a);
    return a;
}

/* An address of the host's on a bridge: nobody has it, says so, or finds out whether somebody has. */
static void put_host_address(GString *s, const Address *a)
{
    g_autofree char *bare = address_to_string_bare(a);
    if (a->family == AF_INET) {
        g_string_append_printf(s, "\t\tarp saddr ip %s drop\n\t\tip saddr %s drop\n", bare, bare);
        return;
    }
    g_autofree char *bits = leading_bits(a, 128);
    g_string_append_printf(s, "\t\tip6 saddr %s drop\n\t\ticmpv6 type nd-neighbor-advert @th,64,128 %s drop\n"
                              "\t\tip6 saddr :: icmpv6 type nd-neighbor-solicit @th,64,128 %s drop\n", bare, bits, bits);
}

/* What is the host's own on a bridge of ours comes from no port. */
static void put_gateway(Text *text, guint i)
{
    const FirewallNetwork *n = network_at(text->state, i);
    const Address own = link_local(&n->mac);
    g_autofree char *mac = mac_to_string(&n->mac);
    g_string_append_printf(text->s, "\tchain gateway%u {\n\t\tether saddr %s drop\n", i, mac);
    put_host_address(text->s, &own);
    for (guint k = 0; k < n->addresses->len; k++)
        put_host_address(text->s, &g_array_index(n->addresses, Address, k));
    g_string_append(text->s, "\t}\n");
}

static bool knows_v4(const FirewallFilter *f)
{
    for (guint i = 0; i < f->addresses->len; i++)
        if (g_array_index(f->addresses, Address, i).family == AF_INET)
            return true;
    return false;
}

static void put_clean_v4(Text *text, const FirewallFilter *f, const char *mac)
{
    GString *s = text->s;
    if (!knows_v4(f)) {
        g_string_append_printf(s, "\t\tether type arp arp htype 1 arp ptype ip arp saddr ether %s accept\n\t\tether type ip accept\n", mac);
        return;
    }
    g_string_append_printf(s, "\t\tether type arp arp htype 1 arp ptype ip arp saddr ether %s arp saddr ip 0.0.0.0 accept\n", mac);
    for (guint i = 0; i < f->addresses->len; i++) {
        const Address *a = &g_array_index(f->addresses, Address, i);
        g_autofree char *net = a->family == AF_INET ? network_text(a) : NULL;
        if (net)
            g_string_append_printf(s, "\t\tether type arp arp htype 1 arp ptype ip arp saddr ether %s arp saddr ip %s accept\n"
                                      "\t\tether type ip ip saddr %s accept\n", mac, net, net);
    }
    g_string_append(s, "\t\tether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n");
}

/* A guest may have any address of the link's own, and says only of its own addresses that it has them. */
static void put_clean_v6(Text *text, const FirewallFilter *f)
{
    GString *s = text->s;
    g_autoptr(GString) targets = g_string_new("@th,64,10 != 0x3fa"), sources = g_string_new(NULL);
    for (guint i = 0; i < f->addresses->len; i++) {
        const Address *a = &g_array_index(f->addresses, Address, i);
        if (a->family != AF_INET6)
            continue;
        g_autofree char *net = network_text(a), *bits = a->prefix > 0 ? leading_bits(a, a->prefix) : NULL;
        if (bits)
            g_string_append_printf(targets, " @th,64,%u != %s", a->prefix, bits);
        g_string_append_printf(sources, "\t\tether type ip6 ip6 saddr %s accept\n", net);
    }
    g_string_append_printf(s, "\t\ticmpv6 type nd-neighbor-advert %s drop\n%s", targets->str, sources->str);
    g_string_append(s, "\t\tether type ip6 ip6 saddr fe80::/10 accept\n\t\tether type ip6 ip6 saddr :: accept\n");
}

/* In `*ret` the number of the network whose bridge this is; false of bridges of others. */
static bool find_network(const FirewallState *state, const char *bridge, guint *ret)
{
    for (guint i = 0; bridge && i < state->networks->len; i++)
        if (g_str_equal(network_at(state, i)->bridge, bridge)) {
            *ret = i;
            return true;
        }
    return false;
}

static void put_filter(Text *text, guint i)
{
    const FirewallFilter *f = text->state->filters->pdata[i];
    guint network;
    bool ours = find_network(text->state, f->bridge, &network);
    g_autofree char *mac = mac_to_string(&f->mac);
    g_string_append_printf(text->s, "\tchain port%u {\n\t\tether saddr != %s drop\n", i, mac);
    if (ours)
        g_string_append_printf(text->s, "\t\tjump gateway%u\n", network);
    if (!ours && f->addresses->len == 0) {
        /* Where it stands, whatever the frame says of its kind: some believe ARP of others than Ethernet. */
        const uint8_t *o = f->mac.ether_addr_octet;
        g_string_append_printf(text->s, "\t\tether type arp @nh,64,48 != 0x%02x%02x%02x%02x%02x%02x drop\n", o[0], o[1], o[2], o[3], o[4], o[5]);
    } else {
        g_string_append(text->s, "\t\tjump servers\n");
        put_clean_v4(text, f, mac);
        put_clean_v6(text, f);
        g_string_append(text->s, "\t\tdrop\n");
    }
    g_string_append(text->s, "\t}\n");
}

/* Those that a filtered port is on. */
static void put_gateways(Text *text)
{
    for (guint i = 0; i < text->state->networks->len; i++) {
        bool wanted = false;
        for (guint k = 0; !wanted && k < text->state->filters->len; k++)
            wanted = g_strcmp0(((const FirewallFilter *) text->state->filters->pdata[k])->bridge, network_at(text->state, i)->bridge) == 0;
        if (wanted)
            put_gateway(text, i);
    }
}

static void put_filters(Text *text)
{
    const GPtrArray *filters = text->state->filters;
    g_string_append(text->s, "\tchain servers {\n\t\tether type ip udp sport 67 drop\n\t\tether type ip6 udp sport 547 drop\n"
                             "\t\ticmpv6 type { nd-router-advert, nd-redirect } drop\n\t}\n");
    put_gateways(text);
    for (guint i = 0; i < filters->len; i++)
        put_filter(text, i);
    g_string_append(text->s, "\tchain prerouting {\n\t\ttype filter hook prerouting priority -300; policy accept;\n\t\tiifname vmap {");
    for (guint i = 0; i < filters->len; i++)
        g_string_append_printf(text->s, "%s \"%s\" : jump port%u", i > 0 ? "," : "", ((const FirewallFilter *) filters->pdata[i])->tap, i);
    g_string_append(text->s, " }\n\t}\n");
}

/* A port in hairpin mode would hear its own broadcasts, and take its addresses for taken. */
static void put_hairpins(Text *text)
{
    const GPtrArray *forwards = text->state->forwards;
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    g_string_append(text->s, "\tchain forward {\n\t\ttype filter hook forward priority -300; policy accept;\n\t\tmeta pkttype { broadcast, multicast } iifname . oifname {");
    for (guint i = 0; i < forwards->len; i++) {
        char *tap = ((const FirewallForward *) forwards->pdata[i])->tap;
        if (g_hash_table_add(known, tap))
            g_string_append_printf(text->s, "%s \"%s\" . \"%s\"", g_hash_table_size(known) > 1 ? "," : "", tap, tap);
    }
    g_string_append(text->s, " } drop\n\t}\n");
}

static void put_bridge(Text *text)
{
    g_string_append(text->s, "table bridge vmd {\n");
    if (text->state->filters->len > 0)
        put_filters(text);
    if (text->state->forwards->len > 0)
        put_hairpins(text);
    g_string_append(text->s, "}\n");
}

char *firewall_text(const FirewallState *state)
{
    Text text = {.s = g_string_new(clean), .state = state};
    /* All names are links' own, or vmd's choice: others are a fault of vmd. A "*" at the end would be a pattern. */
    for (guint i = 0; i < state->networks->len; i++)
        g_assert(link_name_is_valid(network_at(state, i)->bridge) && !strchr(network_at(state, i)->bridge, '*'));
    for (guint i = 0; i < state->filters->len; i++) {
        const FirewallFilter *f = state->filters->pdata[i];
        g_assert(link_name_is_valid(f->tap) && !strchr(f->tap, '*'));
    }
    for (guint i = 0; i < state->forwards->len; i++) {
        const FirewallForward *f = state->forwards->pdata[i];
        g_assert(link_name_is_valid(f->tap) && !strchr(f->tap, '*'));
    }
    if (state->networks->len > 0)
        put_networks(&text);
    if (state->filters->len > 0 || state->forwards->len > 0)
        put_bridge(&text);
    return g_string_free(text.s, FALSE);
}
