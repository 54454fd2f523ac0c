/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links of a real kernel, in a network namespace of its own; `ip`, `bridge` and `tc` say what is there. */
#include "link.h"

#include <string.h>

#include "net-shell.h"
#include "tap.h"

static Links *links;

static Address address(const char *text)
{
    Address a;
    g_assert_cmpint(address_parse(text, &a), ==, 0);
    return a;
}

static struct ether_addr mac(const char *text)
{
    struct ether_addr m;
    g_assert_cmpint(mac_parse(text, &m), ==, 0);
    return m;
}

static int add_bridge(const char *name)
{
    const Address addresses[] = {address("10.77.0.1/24"), address("fd00:77::1/64")};
    const BridgeSpec spec = {.name = name, .alias = LINK_ALIAS_BRIDGE "test", .mac = mac("52:54:00:aa:bb:cc"), .mtu = 1400,
        .addresses = addresses, .n_addresses = G_N_ELEMENTS(addresses)};
    g_autoptr(Error) error = NULL;
    int index = 0;
    if (!links_add_bridge(links, &spec, &index, &error))
        g_error("%s", error->cause);
    return index;
}

static void remove_bridge(int index)
{
    g_assert_true(links_remove_bridge(links, index, NULL));
}

static void names(void)
{
    static const char *const bad[] = {"", ".", "..", "a/b", "a b", "a:b", "sixteen-letters0", "a\nb", "a\"b", "\xc3\xa4"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(link_name_is_valid(bad[i]));
    g_assert_true(link_name_is_valid("fifteen-letters") && link_name_is_valid("eth0.5"));
    Link link;
    g_assert_cmpint(links_get(links, "sixteen-letters0", &link), ==, -ENODEV);
    g_assert_cmpint(links_get(links, "none", &link), ==, -ENODEV);
    g_assert_cmpint(links_get_by_index(links, 9999, &link), ==, -ENODEV);
    g_assert_cmpint(links_get_by_index(links, 0, &link), ==, -ENODEV);
}

static void bridge(void)
{
    Link link;
    g_autoptr(Error) error = NULL;
    int index = add_bridge("brt0"), other;
    g_assert_cmpint(links_get(links, "brt0", &link), ==, 0);
    g_assert_cmpint(link.index, ==, index);
    g_assert_cmpstr(link.kind, ==, "bridge");
    g_assert_cmpstr(link.alias, ==, "vmd bridge test");
    g_assert_cmpuint(link.mtu, ==, 1400);
    g_assert_true(link.up);
    g_assert_true(sh("ip -d link show brt0 | grep 'forward_delay 0 ' | grep 'stp_state 0 ' | grep -q 'mcast_querier 0 '"));
    g_assert_true(sh("ip link show brt0 | grep -q 52:54:00:aa:bb:cc"));
    g_assert_true(sh("ip addr show brt0 | grep -q 'inet 10.77.0.1/24 brd 10.77.0.255'"));
    g_assert_true(sh("ip addr show brt0 | grep 'inet6 fd00:77::1/64' | grep nodad | grep -qv tentative"));
    g_assert_true(sh("[ \"$(cat /proc/sys/net/ipv6/conf/brt0/accept_ra)\" = 0 ]"));

    const BridgeSpec again = {.name = "brt0", .alias = "x", .mac = mac("52:54:00:00:00:01")};
    g_assert_false(links_add_bridge(links, &again, &other, &error));
    g_assert_cmpint(error->code, ==, ERROR_EXISTS);
    remove_bridge(index);
    remove_bridge(index); /* gone: no error */
    g_assert_cmpint(links_get(links, "brt0", &link), ==, -ENODEV);
}

/* Nothing is left when one of its addresses cannot be. */
static void bridge_fails(void)
{
    const Address addresses[] = {address("10.77.0.1/24"), address("10.77.0.1/24")};
    const BridgeSpec spec = {.name = "brt0", .alias = LINK_ALIAS_BRIDGE "test", .mac = mac("52:54:00:aa:bb:cc"), .addresses = addresses, .n_addresses = 2};
    g_autoptr(Error) error = NULL;
    Link link;
    int index = -1;
    g_assert_false(links_add_bridge(links, &spec, &index, &error));
    g_assert_nonnull(strstr(error->cause, "10.77.0.1/24"));
    g_assert_cmpint(index, ==, -1);
    g_assert_cmpint(links_get(links, "brt0", &link), ==, -ENODEV);
}

static void strangers_stay(void)
{
    Link link;
    g_autoptr(Error) error = NULL;
    g_assert_true(sh("ip link add brt1 type bridge"));
    g_assert_cmpint(links_get(links, "brt1", &link), ==, 0);
    g_assert_false(links_remove_bridge(links, link.index, &error));
    g_assert_true(sh("ip link show brt1 >/dev/null && ip link del brt1"));
}

/* What a process that was killed in links_add_bridge() leaves, and what only looks like it. */
static void unfinished_ones_go(void)
{
    const struct ether_addr ours = mac("52:54:00:aa:bb:cc"), other = mac("52:54:00:aa:bb:cd");
    Link link;
    g_assert_true(sh("ip link add brt1 address 52:54:00:aa:bb:cc type bridge"));
    links_remove_unfinished(links, "brt1", "macvtap", &ours);
    links_remove_unfinished(links, "brt1", "bridge", &other);
    g_assert_true(sh("ip link set brt1 alias mine"));
    links_remove_unfinished(links, "brt1", "bridge", &ours);
    g_assert_cmpint(links_get(links, "brt1", &link), ==, 0);
    g_assert_true(sh("ip link set brt1 alias ''"));
    links_remove_unfinished(links, "brt1", "bridge", &ours);
    g_assert_cmpint(links_get(links, "brt1", &link), ==, -ENODEV);
    links_remove_unfinished(links, "brt1", "bridge", &ours); /* gone: nothing to do */
}

static Tap open_tap(unsigned queues)
{
    Tap tap;
    g_autoptr(Error) error = NULL;
    if (!tap_open("vmtap%d", queues, true, &tap, &error))
        g_error("%s: %s", error->thing, error->cause);
    return tap;
}

static void ports(void)
{
    int index = add_bridge("brt0");
    Tap tap = open_tap(1), many = open_tap(4);
    Link link;
    g_autoptr(Error) error = NULL, none = NULL;
    g_assert_cmpuint(many.queues, ==, 4);
    g_assert_cmpint(links_get(links, tap.name, &link), ==, 0);
    g_assert_cmpint(link.index, ==, tap.index);
    g_assert_cmpuint(link.mac.ether_addr_octet[0], ==, 0xfe);

    PortSpec spec = {.link = tap.name, .bridge = "brt0", .alias = LINK_ALIAS_TAP "web", .isolated = true, .hairpin = true};
    g_assert_true(links_enslave(links, &spec, NULL));
    g_assert_cmpint(links_get(links, tap.name, &link), ==, 0);
    g_assert_cmpint(link.master, ==, index);
    g_assert_cmpuint(link.mtu, ==, 1400);
    g_assert_true(link.up);
    g_assert_true(sh("bridge -d link show dev %s | grep 'isolated on' | grep -q 'hairpin on'", tap.name));
    g_assert_true(sh("! ip addr show %s | grep -q inet6", tap.name));
    g_autoptr(GArray) ours = links_list(links, LINK_ALIAS_TAP, NULL), all = links_list(links, NULL, NULL);
    g_assert_cmpuint(ours->len, ==, 1);
    g_assert_cmpuint(all->len, >=, 4);
    spec.isolated = spec.hairpin = false;
    g_assert_true(links_enslave(links, &spec, NULL));
    g_assert_true(sh("bridge -d link show dev %s | grep 'isolated off' | grep -q 'hairpin off'", tap.name));
    g_assert_true(sh("ip link show brt0 | grep -q 52:54:00:aa:bb:cc"));

    spec.bridge = many.name;
    g_assert_false(links_enslave(links, &spec, &error));
    g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    spec.bridge = "nobridge";
    g_assert_false(links_enslave(links, &spec, &none));
    g_assert_cmpint(none->code, ==, ERROR_FAILED);

    g_assert_true(links_set_up(links, tap.name, false, NULL));
    g_assert_cmpint(links_get(links, tap.name, &link), ==, 0);
    g_assert_false(link.up);
    char name[IFNAMSIZ];
    g_strlcpy(name, tap.name, sizeof name);
    tap_close(&tap);
    tap_close(&tap);
    tap_close(&many);
    g_assert_cmpint(links_get(links, name, &link), ==, -ENODEV);
    remove_bridge(index);
}

/* What the kernel has counted of a link, by name; the two ends of a veth. */
static void counters(void)
{
    LinkCounters here, there;
    Link link, peer;
    g_assert_true(sh("ip link add veh0 type veth peer name veh1 && ip link set veh0 up && ip link set veh1 up && ip addr add 10.66.0.1/24 dev veh0"));
    g_assert_cmpint(links_get(links, "veh0", &link), ==, 0);
    g_assert_cmpint(links_get(links, "veh1", &peer), ==, 0);
    g_assert_true(sh("ip neigh add 10.66.0.2 lladdr 52:54:00:01:02:03 dev veh0 && ping -c 3 -i 0.01 -W 1 -s 1000 10.66.0.2 > /dev/null; true"));
    g_assert_cmpint(links_counters(links, link.index, &here), ==, 0);
    g_assert_cmpint(links_counters(links, peer.index, &there), ==, 0);
    g_assert_cmpuint(here.sent, >=, 3 * 1042);
    g_assert_cmpuint(here.packets_sent, >=, 3);
    g_assert_cmpuint(there.received, >=, 3 * 1042);
    g_assert_cmpuint(here.received, <, 3 * 1042);
    g_assert_true(sh("ip link del veh0"));
    g_assert_cmpint(links_counters(links, link.index, &here), ==, -ENODEV);
    g_assert_cmpint(links_counters(links, 0, &here), ==, -ENODEV);
}

static void collisions(void)
{
    static const struct {
        const char *network, *who;
    } cases[] = {
        {"10.77.0.0/25", "the address 10.77.0.1/24 of brt0"}, {"10.0.0.0/8", "the address 10.77.0.1/24 of brt0"},
        {"10.78.0.0/24", NULL}, {"192.168.44.0/24", "the route 192.168.0.0/16 of brt0"}, {"fd00:77::/64", "the address fd00:77::1/64 of brt0"},
        {"fd00:78::/64", NULL}, {"172.16.0.0/24", NULL},
    };
    int index = add_bridge("brt0"), by = -1;
    g_assert_true(!links_default_route(links, &by, NULL) && by == 0);
    g_assert_true(sh("ip route add 192.168.0.0/16 via 10.77.0.9 && ip route add 0.0.0.0/1 via 10.77.0.9 && "
                     "ip route add default via 10.77.0.9 metric 50 && ip route add unreachable default metric 5"));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Address network = address(cases[i].network);
        g_autofree char *who = NULL, *but = NULL;
        g_assert_true(links_find_collision(links, &network, 0, &who, NULL));
        g_assert_cmpstr(who, ==, cases[i].who);
        g_assert_true(links_find_collision(links, &network, index, &but, NULL));
        g_assert_null(but);
    }
    g_assert_true(links_default_route(links, &by, NULL) && by == index);
    g_assert_true(sh("ip link add brt2 type bridge && ip addr add 10.99.0.1/24 dev brt2 && ip link set brt2 up && ip route add default via 10.99.0.2 metric 7"));
    g_assert_true(links_default_route(links, &by, NULL) && by != index);
    g_assert_true(sh("ip link del brt2"));

    g_assert_true(sh("ip neigh add 10.77.0.5 lladdr 52:54:00:01:02:03 dev brt0 nud reachable; ip neigh add fd00:77::5 lladdr 52:54:00:01:02:03 dev brt0 nud stale; "
                     "ip neigh add 10.77.0.6 dev brt0 nud failed"));
    g_autoptr(GArray) neighbours = links_neighbours(links, index, NULL), none = links_neighbours(links, 1, NULL);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_cmpuint(neighbours->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        const Neighbour *n = &g_array_index(neighbours, Neighbour, i);
        const Address four = address("10.77.0.5"), six = address("fd00:77::5");
        g_assert_true(address_equal(&n->address, &four) || address_equal(&n->address, &six));
        g_assert_cmpuint(n->mac.ether_addr_octet[5], ==, 3);
    }
    remove_bridge(index);
}

static void bandwidth(void)
{
    Tap tap = open_tap(1);
    g_autoptr(Error) error = NULL;
    if (!links_set_bandwidth(links, tap.name, 1000000, 2000000, &error)) {
        g_assert_cmpint(error->code, ==, ERROR_UNSUPPORTED);
        tap_close(&tap);
        g_test_skip(error->cause);
        return;
    }
    g_assert_true(sh("tc qdisc show dev %s | grep -q 'tbf.* rate 8Mbit'", tap.name));
    g_assert_true(sh("tc filter show dev %s ingress | grep -q 'rate 16Mbit'", tap.name));
    g_assert_true(links_set_bandwidth(links, tap.name, UINT64_C(10000000000), UINT64_C(10000000000), NULL));
    g_assert_true(sh("tc qdisc show dev %s | grep -q 'rate 80Gbit'", tap.name));
    g_assert_true(sh("tc filter show dev %s ingress | grep -q 'rate 80Gbit'", tap.name));
    g_assert_true(links_set_bandwidth(links, tap.name, 0, 0, NULL));
    g_assert_true(links_set_bandwidth(links, tap.name, 0, 0, NULL));
    g_assert_true(sh("! tc qdisc show dev %s | grep -q 'tbf\\|ingress'", tap.name));
    tap_close(&tap);
}

static void macvtap(void)
{
    Link link;
    const struct ether_addr m = mac("52:54:00:01:02:03");
    int index = 0;
    g_autoptr(Error) error = NULL;
    g_assert_true(sh("ip link add vea type veth peer name veb && ip link set vea up && ip link set veb up"));
    if (!links_add_macvtap(links, "vea", "vmmv0", &m, LINK_ALIAS_TAP "web", &index, &error)) {
        g_assert_cmpint(error->code, ==, ERROR_UNSUPPORTED);
        g_test_skip(error->cause);
        return;
    }
    g_assert_cmpint(links_get_by_index(links, index, &link), ==, 0);
    g_assert_cmpstr(link.kind, ==, "macvtap");
    g_assert_true(link.up && memcmp(&link.mac, &m, sizeof m) == 0);
    g_assert_true(sh("ip -d link show vmmv0 | grep -q 'mode bridge'"));
    g_assert_true(links_remove_macvtap(links, index, NULL) && links_remove_macvtap(links, index, NULL));
    g_assert_true(sh("! ip link show vmmv0 2>/dev/null && ip link del vea"));
}

typedef struct Seen {
    unsigned made, gone, neighbours, lost;
    bool stop;
} Seen;

static void on_change(LinksChange what, int index, const char *name, bool gone, void *userdata)
{
    Seen *seen = userdata;
    switch (what) {
    case LINKS_LINK:
        if (g_str_equal(name, "brt0"))
            (*(gone ? &seen->gone : &seen->made))++;
        break;
    case LINKS_NEIGHBOUR:
        seen->neighbours++;
        break;
    case LINKS_LOST:
        seen->lost++;
        break;
    }
    if (seen->stop)
        links_unwatch(links);
}

static void run(sd_event *event)
{
    while (sd_event_run(event, 20000) > 0)
        ;
}

static void watch(void)
{
    sd_event *event = NULL;
    Seen seen = {0};
    Links *kept = links;
    g_assert_cmpint(sd_event_new(&event), ==, 0);
    g_assert_cmpint(links_new(event, &links), ==, 0);
    g_assert_cmpint(links_watch(links, on_change, &seen), ==, 0);
    int index = add_bridge("brt0");
    g_assert_true(sh("ip neigh add 10.77.0.5 lladdr 52:54:00:01:02:03 dev brt0"));
    run(event);
    g_test_message("%u made, %u gone, %u neighbours, %u lost", seen.made, seen.gone, seen.neighbours, seen.lost);
    g_assert_true(seen.made > 0 && seen.gone == 0 && seen.neighbours > 0 && seen.lost == 0);

    /* A port that leaves is not gone. */
    g_assert_true(sh("ip link add brt0b type bridge && ip link add brt0p type veth peer name brt0q && ip link set brt0p master brt0 && ip link set brt0p nomaster"));
    run(event);
    g_assert_cmpuint(seen.gone, ==, 0);
    remove_bridge(index);
    run(event);
    g_assert_cmpuint(seen.gone, ==, 1);

    /* More than its queue holds. */
    g_assert_true(sh("f=$(mktemp); for i in $(seq 2000); do echo link set brt0b mtu 1400; echo link set brt0b mtu 1500; done >$f; ip -batch $f; rm $f"));
    run(event);
    g_assert_cmpuint(seen.lost, >, 0);
    g_assert_true(sh("ip link del brt0b; ip link del brt0p"));

    seen = (Seen){.stop = true}; /* it may stop while it is told */
    remove_bridge(add_bridge("brt0"));
    run(event);
    g_assert_cmpuint(seen.made + seen.neighbours, <=, 1);
    links_free(links);
    links = kept;
    sd_event_unref(event);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    if (!net_enter_namespace())
        return 77;
    g_assert_cmpint(links_new(NULL, &links), ==, 0);
    g_test_add_func("/net-link/names", names);
    g_test_add_func("/net-link/bridge", bridge);
    g_test_add_func("/net-link/bridge-fails", bridge_fails);
    g_test_add_func("/net-link/strangers", strangers_stay);
    g_test_add_func("/net-link/unfinished", unfinished_ones_go);
    g_test_add_func("/net-link/ports", ports);
    g_test_add_func("/net-link/counters", counters);
    g_test_add_func("/net-link/collisions", collisions);
    g_test_add_func("/net-link/bandwidth", bandwidth);
    g_test_add_func("/net-link/macvtap", macvtap);
    g_test_add_func("/net-link/watch", watch);
    int r = g_test_run();
    links_free(links);
    return r;
}
