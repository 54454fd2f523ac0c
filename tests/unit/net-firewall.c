/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The firewall of a real kernel, in a network namespace of its own: guests are namespaces behind veths, and packets flow or not.
 *
 *   ga (10.71.0.2), gb (.3) - brn, NAT       gi (10.72.0.2) - bri, isolated      gr (10.73.0.2) - brr, routed
 *   out (10.79.0.2) - the world outside, which knows no way to 10.71 */
#include "firewall.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "net-shell.h"

#define GUEST_MAC "52:54:00:00:00:0a"
#define BRIDGE_MAC "52:54:00:00:00:01"

/* Says its own port and who asks, on TCP and UDP. */
static const char server[] =
    "import socket, select\n"
    "ss = []\n"
    "for p in [22, 7000, 8000, *range(6000, 6004)]:\n"
    "  for t in [socket.SOCK_STREAM, socket.SOCK_DGRAM]:\n"
    "    s = socket.socket(socket.AF_INET6, t); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)\n"
    "    s.bind(('::', p)); ss.append(s)\n"
    "    if t == socket.SOCK_STREAM: s.listen()\n"
    "while True:\n"
    "  for s in select.select(ss, [], [])[0]:\n"
    "    p = s.getsockname()[1]\n"
    "    if s.type == socket.SOCK_STREAM:\n"
    "      c, a = s.accept(); c.send(f'{p} {a[0]}'.encode()); c.close()\n"
    "    else:\n"
    "      d, a = s.recvfrom(99); s.sendto(f'{p} {a[0]}'.encode(), a)\n";
static const char client[] =
    "import socket, sys\n"
    "k, h, p = sys.argv[1:]\n"
    "a = socket.getaddrinfo(h, int(p))[0]\n"
    "s = socket.socket(a[0], socket.SOCK_STREAM if k == 'tcp' else socket.SOCK_DGRAM); s.settimeout(0.4)\n"
    "try:\n"
    "  s.connect(a[4]); s.send(b'x') if k == 'udp' else 0; print(s.recv(99).decode().replace('::ffff:', ''))\n"
    "except OSError as e: print('no')\n";

/* Twenty times the frame as it stands, but for the checksum of IPv4, out of eth0. */
static const char sender[] =
    "import socket, sys\n"
    "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))\n"
    "f = bytearray.fromhex(sys.argv[1])\n"
    "if f[12:15] == b'\\x08\\x00\\x45':\n"
    "  n = sum(int.from_bytes(f[i:i + 2], 'big') for i in range(14, 34, 2)); n = (n & 0xffff) + (n >> 16); n = (n & 0xffff) + (n >> 16)\n"
    "  f[24:26] = (0xffff - n).to_bytes(2, 'big')\n"
    "for i in range(20): s.send(f)\n";
static char *dir;

/* What the server at the other end says to `who` ("" is the host), or "no". */
static char *ask(const char *who, const char *kind, const char *host, unsigned port)
{
    g_autofree char *command = g_strdup_printf("%s%s python3 %s/client %s %s %u", *who ? "ip netns exec " : "", who, dir, kind, host, port);
    char line[128] = "";
    FILE *f = popen(command, "r");
    g_assert_nonnull(f);
    (void) !fgets(line, sizeof line, f);
    pclose(f);
    g_test_message("%s: %s", command, g_strchomp(line));
    return g_strdup(line);
}

static void expect(const char *who, const char *kind, const char *host, unsigned port, const char *what)
{
    g_autofree char *said = ask(who, kind, host, port);
    /* A busy machine is slower than the client waits. */
    for (unsigned i = 0; i < 5 && !g_str_equal(what, "no") && g_str_equal(said, "no"); i++) {
        g_free(said);
        said = ask(who, kind, host, port);
    }
    g_assert_cmpstr(said, ==, what);
}

static Address address(const char *text)
{
    Address a;
    g_assert_cmpint(address_parse(text, &a), ==, 0);
    return a;
}

static GArray *addresses(const char *first, const char *second)
{
    GArray *array = g_array_new(false, false, sizeof(Address));
    const char *const texts[] = {first, second};
    for (size_t i = 0; i < 2 && texts[i]; i++) {
        Address a = address(texts[i]);
        g_array_append_val(array, a);
    }
    return array;
}

static void add_network(FirewallState *state, const char *bridge, FirewallMode mode, const char *v4, const char *v6)
{
    FirewallNetwork *n = g_new(FirewallNetwork, 1);
    *n = (FirewallNetwork){.bridge = g_strdup(bridge), .mode = mode, .addresses = addresses(v4, v6)};
    g_assert_cmpint(mac_parse(BRIDGE_MAC, &n->mac), ==, 0);
    g_ptr_array_add(state->networks, n);
}

static void add_forward(FirewallState *state, const char *text, const char *v4, const char *v6)
{
    FirewallForward *f = g_new0(FirewallForward, 1);
    g_assert_true(firewall_forward_parse(text, f, NULL));
    f->bridge = g_strdup("brn");
    f->tap = g_strdup(g_strcmp0(v4, "10.71.0.2") == 0 ? "vga" : "vgb");
    if (v4)
        f->to_v4 = address(v4);
    if (v6)
        f->to_v6 = address(v6);
    g_ptr_array_add(state->forwards, f);
}

static void add_filter(FirewallState *state, const char *tap, const char *mac, GArray *own)
{
    FirewallFilter *f = g_new(FirewallFilter, 1);
    *f = (FirewallFilter){.tap = g_strdup(tap), .bridge = g_strdup("brn"), .addresses = own};
    g_assert_cmpint(mac_parse(mac, &f->mac), ==, 0);
    g_ptr_array_add(state->filters, f);
}

static FirewallState *state_new(void)
{
    FirewallState *state = firewall_state_new();
    add_network(state, "brn", FIREWALL_NAT, "10.71.0.1/24", "fd00:71::1/64");
    add_network(state, "bri", FIREWALL_ISOLATED, "10.72.0.1/24", NULL);
    add_network(state, "brr", FIREWALL_ROUTED, "10.73.0.1/24", NULL);
    return state;
}

static sd_event *event;
static Firewall *firewall;

typedef struct Outcome {
    unsigned n;
    Error *error;
} Outcome;

static void on_done(const Error *error, void *userdata)
{
    Outcome *outcome = userdata;
    outcome->n++;
    outcome->error = error_copy(error);
}

static void apply(const FirewallState *state)
{
    Outcome outcome = {0};
    firewall_apply(firewall, state, false, on_done, &outcome);
    g_assert_cmpuint(outcome.n, ==, 0);
    while (!firewall_is_idle(firewall))
        g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
    g_assert_cmpuint(outcome.n, ==, 1);
    if (outcome.error)
        g_error("%s", outcome.error->cause);
}

static void parse(void)
{
    static const struct {
        const char *text, *listen;
        bool udp;
        uint16_t first, last, to;
    } good[] = {
        {"tcp:2222:22", NULL, false, 2222, 2222, 22}, {"udp:5000-5010:6000", NULL, true, 5000, 5010, 6000}, {"tcp:8080", NULL, false, 8080, 8080, 8080},
        {"tcp:192.168.1.5:80:8080", "192.168.1.5/32", false, 80, 80, 8080}, {"tcp:[2001:db8::1]:80:8080", "2001:db8::1/128", false, 80, 80, 8080},
        {"udp:127.0.0.1:53", "127.0.0.1/32", true, 53, 53, 53}, {"tcp:1-65535", NULL, false, 1, 65535, 1},
    };
    static const char *const bad[] = {"", "tcp", "tcp:", "tcp:0", "tcp:65536", "tcp:80:", "tcp::80", "tcp:80:0", "sctp:80", "TCP:80", "tcp:90-80", "tcp:80-", "tcp:-80", "tcp: 80",
        "tcp:080", "tcp:1-65535:2", "tcp:1.2.3:80", "tcp:1.2.3.4", "tcp:[1.2.3.4]:80", "tcp:[::1]80", "tcp:[::1", "tcp:::1:80", "tcp:1.2.3.4/24:80", "tcp:80:81:82", "tcp:80 ", "tcp:+80",
        "tcp:[fe80::1%eth0]:80", "tcp:\xff"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        FirewallForward f;
        g_assert_true(firewall_forward_parse(good[i].text, &f, NULL));
        g_assert_true(f.udp == good[i].udp && f.first == good[i].first && f.last == good[i].last && f.to == good[i].to && !f.bridge);
        g_autofree char *listen = f.listen.family ? address_to_string(&f.listen) : NULL;
        g_assert_cmpstr(listen, ==, good[i].listen);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        FirewallForward f;
        g_autoptr(Error) error = NULL;
        g_test_message("%s", bad[i]);
        g_assert_false(firewall_forward_parse(bad[i], &f, &error));
        g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    }
}

static bool collide(const char *a, const char *b)
{
    FirewallForward x, y;
    g_assert_true(firewall_forward_parse(a, &x, NULL) && firewall_forward_parse(b, &y, NULL));
    g_assert_true(firewall_forward_collides(&x, &y) == firewall_forward_collides(&y, &x));
    return firewall_forward_collides(&x, &y);
}

static void collisions(void)
{
    g_assert_true(collide("tcp:80", "tcp:80:81") && collide("tcp:80-90", "tcp:90-95") && collide("tcp:1.2.3.4:80", "tcp:80") && collide("tcp:0.0.0.0:80", "tcp:1.2.3.4:80"));
    g_assert_false(collide("tcp:80", "udp:80") || collide("tcp:80-90", "tcp:91") || collide("tcp:1.2.3.4:80", "tcp:1.2.3.5:80") || collide("tcp:[::1]:80", "tcp:127.0.0.1:80"));
}

static bool taken(const char *text, uint16_t *port)
{
    FirewallForward f;
    g_assert_true(firewall_forward_parse(text, &f, NULL));
    return firewall_port_is_taken(&f, port);
}

static void ports(void)
{
    uint16_t port = 0;
    g_assert_false(taken("tcp:1-65535", &port));
    /* The server listens in the guest's namespace only; this one is here. */
    g_assert_true(sh("timeout 100 python3 %s/server >/dev/null 2>&1 & echo $! > %s/pid", dir, dir));
    for (unsigned i = 0; i < 300 && !taken("udp:6003", &port); i++)
        g_usleep(10000);
    g_assert_true(taken("tcp:20-30", &port) && port == 22);
    g_assert_true(taken("udp:6001-7000", &port) && port == 6001);
    g_assert_true(taken("tcp:10.79.0.1:22", &port) && taken("tcp:[fd00:71::1]:22", &port));
    g_assert_false(taken("tcp:23", &port));
    g_assert_true(sh("kill $(cat %s/pid)", dir));
}

static void networks(void)
{
    g_autoptr(FirewallState) state = state_new();
    expect("gi", "tcp", "10.79.0.2", 22, "22 10.72.0.2"); /* all of it works without rules */
    apply(state);
    expect("ga", "tcp", "10.79.0.2", 22, "22 10.79.0.1"); /* masqueraded */
    expect("ga", "udp", "10.79.0.2", 22, "22 10.79.0.1");
    expect("ga", "tcp", "fd00:79::2", 22, "22 fd00:79::1");
    expect("ga", "tcp", "10.71.0.3", 22, "22 10.71.0.2"); /* the neighbour */
    expect("out", "tcp", "10.71.0.2", 22, "no");
    expect("out", "tcp", "fd00:71::2", 22, "no");
    expect("gi", "tcp", "10.79.0.2", 22, "no");
    expect("gi", "tcp", "10.71.0.2", 22, "no");
    expect("ga", "tcp", "10.72.0.2", 22, "no");
    expect("out", "tcp", "10.72.0.2", 22, "no");
    expect("gr", "tcp", "10.79.0.2", 22, "22 10.73.0.2"); /* routed: its own address */
    expect("out", "tcp", "10.73.0.2", 22, "22 10.79.0.2");
    expect("gr", "tcp", "10.71.0.2", 22, "no");
    expect("", "tcp", "10.71.0.2", 22, "22 10.71.0.1"); /* the host reaches all */
    expect("", "tcp", "10.72.0.2", 22, "22 10.72.0.1");

    /* The host's own services, and back. */
    g_assert_true(sh("timeout 100 python3 %s/server >/dev/null 2>&1 & echo $! > %s/pid", dir, dir));
    for (unsigned i = 0; i < 300 && !taken("udp:6003", &(uint16_t){0}); i++)
        g_usleep(10000);
    expect("ga", "tcp", "10.71.0.1", 22, "no");
    expect("ga", "tcp", "10.79.0.1", 22, "no");
    expect("gi", "udp", "10.72.0.1", 22, "no");
    g_assert_true(sh("ip netns exec ga ping -qc1 -W1 10.71.0.1 >/dev/null && ip netns exec ga ping -qc1 -W1 fd00:71::1 >/dev/null"));
    ((FirewallNetwork *) state->networks->pdata[0])->host_access = true;
    apply(state);
    expect("ga", "tcp", "10.71.0.1", 22, "22 10.71.0.2");
    expect("gi", "tcp", "10.72.0.1", 22, "no");
    g_assert_true(sh("kill $(cat %s/pid)", dir));
}

static void forwards(void)
{
    g_autoptr(FirewallState) state = state_new();
    add_forward(state, "tcp:2222:22", "10.71.0.2", "fd00:71::2");
    add_forward(state, "tcp:5000-5003:6000", "10.71.0.2", NULL);
    add_forward(state, "udp:5000-5003:6000", "10.71.0.2", NULL);
    add_forward(state, "udp:6000-6003", "10.71.0.3", NULL);
    add_forward(state, "tcp:10.79.0.1:7000", "10.71.0.3", NULL);
    add_forward(state, "tcp:127.0.0.1:8000", "10.71.0.3", NULL);
    add_forward(state, "tcp:10.79.0.1:6000-6001", "10.71.0.3", NULL);
    apply(state);
    expect("out", "tcp", "10.79.0.1", 2222, "22 10.79.0.2");
    expect("out", "tcp", "fd00:79::1", 2222, "22 fd00:79::2");
    for (unsigned i = 0; i < 4; i++) { /* a range keeps its order */
        g_autofree char *said = g_strdup_printf("%u 10.79.0.2", 6000 + i);
        expect("out", "tcp", "10.79.0.1", 5000 + i, said);
        expect("out", "udp", "10.79.0.1", 5000 + i, said);
        expect("out", "udp", "10.79.0.1", 6000 + i, said);
    }
    expect("out", "tcp", "10.79.0.1", 7000, "7000 10.79.0.2");
    expect("out", "tcp", "10.79.0.1", 6001, "6001 10.79.0.2");
    expect("out", "tcp", "10.79.0.1", 8000, "no");
    expect("", "tcp", "127.0.0.1", 2222, "22 10.71.0.1"); /* the host itself */
    expect("", "tcp", "127.0.0.1", 8000, "8000 10.71.0.1");
    expect("", "tcp", "10.79.0.1", 2222, "22 10.79.0.1");
    expect("", "tcp", "127.0.0.1", 7000, "no");
    expect("gb", "tcp", "10.79.0.1", 2222, "22 10.71.0.1"); /* a neighbour, the long way */
    expect("gb", "tcp", "10.71.0.1", 2222, "22 10.71.0.1");
    expect("gr", "tcp", "10.73.0.1", 2222, "22 10.73.0.2");
    expect("ga", "tcp", "10.79.0.1", 2222, "22 10.71.0.1"); /* itself */
    expect("ga", "tcp", "10.71.0.1", 2222, "22 10.71.0.1");
    expect("ga", "udp", "10.71.0.1", 5001, "6001 10.71.0.1");
    expect("ga", "tcp", "fd00:71::1", 2222, "22 fd00:71::1");
    expect("gb", "tcp", "fd00:79::1", 2222, "22 fd00:71::1");
    /* route_localnet lets nobody at the host's loopback. */
    g_assert_true(sh("ip netns exec gb ip route add 127.0.0.0/8 via 10.71.0.1 table 99 && ip netns exec gb sysctl -qw net.ipv4.conf.all.route_localnet=1 && "
                     "ip netns exec gb ip rule add pref 0 to 127.0.0.1 dport 8000 table 99 && ip netns exec gb ip rule add pref 5 table local && ip netns exec gb ip rule del pref 0 table local"));
    expect("gb", "tcp", "127.0.0.1", 8000, "no");
}

static bool reach(const char *whom)
{
    return sh("ip netns exec ga ip neigh flush dev eth0; ip netns exec ga ping -qc1 -W1 %s >/dev/null", whom);
}

#define OWN "52540000000a"
#define OTHER "52540000000b"
#define OWN_V6 "fd000071000000000000000000000002"
#define OWN_LOCAL "fe80000000000000505400fffe00000a"
#define HOST_LOCAL "fe80000000000000505400fffe000001"
#define HOST_V6 "fd000071000000000000000000000001"
#define PEER_V6 "fd000071000000000000000000000003"
#define FAR_V6 "fd000072000000000000000000000003"
#define ARP "ffffffffffff" OWN "08060001080006040001"
#define TO_ALL "333300000001" OWN
#define SIX(length, next, from) "86dd60000000" length next "ff" from "ff020000000000000000000000000001"
#define NA(of) TO_ALL SIX("0020", "3a", OWN_V6) "8800000020000000" of "0201" OWN
#define DAD(of) TO_ALL SIX("0018", "3a", "00000000000000000000000000000000") "8700000000000000" of
#define BEHIND_OPTIONS(of) TO_ALL SIX("0028", "3c", OWN_V6) "3a00010400000000" "8800000020000000" of "0201" OWN
#define UDP4(from, ports, to) "0800450000240000000040110000" from to ports "00100000" "0000000000000000"

static unsigned counted(const char *family)
{
    unsigned n = 0;
    g_autofree char *count = g_strdup_printf("nft list chain %s watch c | grep -o 'packets [0-9]*'", family);
    FILE *f = popen(count, "r");
    g_assert_true(f && fscanf(f, "packets %u", &n) == 1);
    pclose(f);
    return n;
}

/* Whether the guest's frame comes as far as where `family`'s table "watch" counts; some of a guest's own may be among them. */
static bool passes(const char *family, const char *frame)
{
    unsigned before = counted(family);
    g_assert_true(sh("ip netns exec ga python3 %s/sender %s", dir, frame));
    return counted(family) - before >= 20;
}

/* What a port sends is its own, and no server's or router's. Seen where the bridge hands frames on to the neighbour, so it makes no
 * difference what anybody's kernel thinks of them; without the filter all of them pass. */
static void frames(void)
{
    static const struct {
        const char *what, *frame;
        bool passes;
    } all[] = {
        {"own ARP", ARP OWN "0a470002" "000000000000" "0a470003", true}, {"ARP with another's IPv4", ARP OWN "0a470003" "000000000000" "0a470003", false},
        {"ARP with the host's IPv4", ARP OWN "0a470001" "000000000000" "0a470003", false}, {"ARP with another's MAC", ARP OTHER "0a470002" "000000000000" "0a470003", false},
        {"own UDP", "ffffffffffff" OWN UDP4("0a470002", "10001000", "ffffffff"), true}, {"another's UDP", "ffffffffffff" OWN UDP4("0a470003", "10001000", "ffffffff"), false},
        {"another's MAC", "ffffffffffff" OTHER UDP4("0a470002", "10001000", "ffffffff"), false}, {"a DHCP server", "ffffffffffff" OWN UDP4("0a470002", "00430044", "ffffffff"), false},
        {"own UDP in a VLAN", "ffffffffffff" OWN "81000005" UDP4("0a470002", "10001000", "ffffffff"), false},
        {"a DHCP server in a VLAN", "ffffffffffff" OWN "81000005" UDP4("0a470002", "00430044", "ffffffff"), false}, {"QinQ", "ffffffffffff" OWN "88a8000581000006" UDP4("0a470002", "10001000", "ffffffff"), false},
        {"an unknown protocol", "ffffffffffff" OWN "88b5" "00000000000000000000", false}, {"own advertisement", NA(OWN_V6), true}, {"own link-local advertisement", NA(OWN_LOCAL), true},
        {"the host's MAC", "ffffffffffff" "525400000001" UDP4("0a470002", "10001000", "ffffffff"), false},
        {"the host's advertisement", NA(HOST_V6), false}, {"the host's link-local advertisement", NA(HOST_LOCAL), false},
        {"an advertisement behind options", BEHIND_OPTIONS(OWN_V6), true}, {"the host's behind options", BEHIND_OPTIONS(HOST_LOCAL), false},
        {"a search for others with its address", DAD(OWN_LOCAL), true}, {"one for the host's", DAD(HOST_V6), false}, {"one for the host's link-local one", DAD(HOST_LOCAL), false},
        {"the host's link-local address as a sender", TO_ALL SIX("0010", "11", HOST_LOCAL) "1000100000100000" "0000000000000000", false}, {"an advertisement of no prefix of here", NA(FAR_V6), false},
        {"UDP of IPv6", TO_ALL SIX("0010", "11", OWN_V6) "1000100000100000" "0000000000000000", true}, {"a DHCPv6 server", TO_ALL SIX("0010", "11", OWN_LOCAL) "0223022200100000" "0000000000000000", false},
        {"a router's advertisement", TO_ALL SIX("0010", "3a", OWN_LOCAL) "86000000" "40000708" "0000000000000000", false},
        {"a redirect", TO_ALL SIX("0028", "3a", OWN_LOCAL) "8900000000000000" OWN_LOCAL PEER_V6, false}, {"the host as a sender", TO_ALL SIX("0010", "11", HOST_V6) "1000100000100000" "0000000000000000", false},
    };
    static const struct {
        const char *what, *frame;
        bool passes, passes_elsewhere;
    } unknown[] = {
        {"any ARP", ARP OWN "0a470009" "000000000000" "0a470003", true, true}, {"ARP with another's MAC", ARP OTHER "0a470009" "000000000000" "0a470003", false, false},
        {"that of a kind which some believe", "ffffffffffff" OWN "08060006080006040001" OTHER "0a470009" "000000000000" "0a470003", false, false},
        {"any UDP", "ffffffffffff" OWN UDP4("0a470009", "10001000", "ffffffff"), true, true}, {"ARP with the host's IPv4", ARP OWN "0a470001" "000000000000" "0a470003", false, true},
        {"the host as a sender", "ffffffffffff" OWN UDP4("0a470001", "10001000", "ffffffff"), false, true}, {"a DHCP server", "ffffffffffff" OWN UDP4("0a470009", "00430044", "ffffffff"), false, true},
        {"the host's link-local advertisement", NA(HOST_LOCAL), false, true}, {"the host's MAC", ARP "525400000001" "0a470002" "000000000000" "0a470003", false, false},
        {"ARP in a VLAN that is none", "ffffffffffff" OWN "81000000" "08060001080006040001" OWN "0a470001" "000000000000" "0a470003", false, true},
    };
    g_autoptr(FirewallState) state = state_new(), open = state_new(), bare = state_new(), elsewhere = state_new();
    add_filter(state, "vga", GUEST_MAC, addresses("10.71.0.2", "fd00:71::/64"));
    add_filter(bare, "vga", GUEST_MAC, addresses("fd00:71::/64", NULL));
    add_filter(elsewhere, "vga", GUEST_MAC, addresses(NULL, NULL));
    ((FirewallFilter *) elsewhere->filters->pdata[0])->bridge[2] = 'x';
    g_assert_true(sh("nft 'table bridge watch { chain c { type filter hook postrouting priority 0; oifname \"vgb\" counter; }; }'"));
    for (unsigned filtered = 0; filtered < 2; filtered++) {
        apply(filtered ? state : open);
        for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
            g_test_message("%s", all[i].what);
            g_assert_true(passes("bridge", all[i].frame) == (!filtered || all[i].passes));
        }
    }
    /* A guest whose IPv4 address is not known, on a bridge of ours, and on one of others. */
    for (unsigned other = 0; other < 2; other++) {
        apply(other ? elsewhere : bare);
        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
            g_test_message("%s", unknown[i].what);
            g_assert_true(passes("bridge", unknown[i].frame) == (other ? unknown[i].passes_elsewhere : unknown[i].passes));
        }
    }
    /* It has a forward, and so hears what it sends to itself, but not what it sends to all. */
    add_forward(open, "tcp:2222:22", "10.71.0.2", NULL);
    g_assert_true(sh("nft 'flush chain bridge watch c; add rule bridge watch c oifname \"vga\" counter'"));
    for (unsigned forwards = 0; forwards < 2; forwards++) {
        apply(forwards ? open : elsewhere);
        g_assert_true(passes("bridge", ARP OWN "0a470002" "000000000000" "0a4700c8") == !forwards);
        g_assert_true(passes("bridge", DAD(OWN_LOCAL)) == !forwards);
        g_assert_true(passes("bridge", "52540000000a" OWN UDP4("0a470002", "10001000", "0a470002")));
    }
    g_assert_true(sh("nft delete table bridge watch"));
}

/* A bridge has route_localnet: what is of a host's loopback, or for it, ends before anything else sees it, whatever a guest may reach. */
static void loopback(void)
{
    g_autoptr(FirewallState) state = state_new();
    ((FirewallNetwork *) state->networks->pdata[0])->host_access = true;
    apply(state);
    g_assert_true(sh("nft 'table inet watch { chain c { type filter hook prerouting priority -250; iifname \"brn\" counter; }; }'"));
    g_assert_true(passes("inet", "ffffffffffff" OWN UDP4("0a470002", "10001000", "0a470001")));
    g_assert_false(passes("inet", "ffffffffffff" OWN UDP4("0a470002", "10001000", "7f000001")));
    g_assert_false(passes("inet", "ffffffffffff" OWN UDP4("7f000001", "10001000", "0a470001")));
    g_assert_true(sh("nft delete table inet watch"));
}

static void filters(void)
{
    g_autoptr(FirewallState) state = state_new();
    add_filter(state, "vga", GUEST_MAC, addresses("10.71.0.2", "fd00:71::/64"));
    apply(state);
    g_assert_true(reach("10.71.0.1") && reach("10.71.0.3") && reach("fd00:71::1") && reach("fd00:71::3"));

    /* Another's IPv4, the host's IPv6, a name of nobody's prefix; then another MAC. */
    g_assert_true(sh("ip netns exec ga ip addr add 10.71.0.9/24 dev eth0 && ip netns exec ga ip addr add fd00:71::9/64 dev eth0 nodad && "
                     "ip netns exec ga ip addr add fd00:72::9/64 dev eth0 nodad && ip netns exec ga ip addr add fd00:71::1/64 dev eth0 nodad"));
    g_assert_false(sh("ip netns exec ga ping -qc1 -W1 -I 10.71.0.9 10.71.0.3 >/dev/null"));
    g_assert_true(sh("ip netns exec ga ping -qc1 -W1 -I fd00:71::9 fd00:71::3 >/dev/null"));
    g_assert_true(sh("ip netns exec gb ping -qc1 -W1 fd00:71::9 >/dev/null"));
    g_assert_false(sh("ip netns exec gb ping -qc1 -W1 10.71.0.9 >/dev/null"));
    g_assert_false(sh("ip netns exec ga ping -qc1 -W1 -I fd00:71::1 fd00:71::3 >/dev/null"));
    g_assert_false(sh("ip netns exec ga ping -qc1 -W1 -I fd00:72::9 fd00:71::3 >/dev/null"));
    g_assert_true(sh("ip netns exec ga ip link set eth0 address 52:54:00:00:00:99 && ip netns exec ga ip addr del 10.71.0.9/24 dev eth0"));
    g_assert_false(reach("10.71.0.3"));
    g_assert_true(sh("ip netns exec ga ip link set eth0 address " GUEST_MAC));
    g_assert_true(reach("10.71.0.3"));

    /* Addresses that are not known: the MAC alone counts. */
    g_ptr_array_set_size(state->filters, 0);
    add_filter(state, "vga", GUEST_MAC, addresses(NULL, NULL));
    apply(state);
    g_assert_true(sh("ip netns exec ga ip addr add 10.71.0.9/24 dev eth0 && ip netns exec ga ping -qc1 -W1 -I 10.71.0.9 10.71.0.3 >/dev/null"));
    g_assert_true(sh("ip netns exec ga ip link set eth0 address 52:54:00:00:00:99"));
    g_assert_false(sh("ip netns exec ga ping -qc1 -W1 -I 10.71.0.9 10.71.0.3 >/dev/null"));

    g_autoptr(FirewallState) none = firewall_state_new();
    apply(none);
    g_assert_true(sh("[ -z \"$(nft list ruleset)\" ]"));
}

static void many(void)
{
    g_autoptr(FirewallState) state = state_new();
    for (unsigned i = 0; i < 100; i++) {
        g_autofree char *tap = g_strdup_printf("vmtap%u", i), *text = g_strdup_printf("tcp:%u:22", 10000 + i), *mac = g_strdup_printf("52:54:00:00:01:%02x", i),
                        *v4 = g_strdup_printf("10.71.0.%u", i + 10);
        add_filter(state, tap, mac, addresses(v4, "fd00:71::/64"));
        add_forward(state, text, v4, NULL);
    }
    int64_t begin = g_get_monotonic_time();
    apply(state);
    g_test_message("100 filters and 100 forwards: %.1f ms", (double) (g_get_monotonic_time() - begin) / 1000);

    /* The same again is not sent, unless wished; of several only the last is; who is forgotten is not told. */
    Outcome a = {0}, b = {0}, c = {0};
    g_assert_true(sh("nft delete table inet vmd"));
    apply(state);
    g_assert_false(sh("nft list table inet vmd >/dev/null 2>&1"));
    g_autoptr(FirewallState) none = firewall_state_new();
    firewall_apply(firewall, none, false, on_done, &a);
    firewall_apply(firewall, none, false, on_done, &c);
    firewall_apply(firewall, state, true, on_done, &b);
    firewall_forget(firewall, &c);
    while (!firewall_is_idle(firewall))
        g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
    g_assert_true(a.n == 1 && b.n == 1 && c.n == 0 && !a.error && !b.error);
    g_assert_true(sh("nft list table inet vmd >/dev/null"));
    apply(none);
}

static bool make_guest(const char *name, const char *bridge, const char *v4, const char *v6, const char *mac)
{
    return sh("ip netns add %s && ip link add v%s type veth peer name eth0 netns %s address %s && ip link set v%s up && ip link set v%s master %s && "
              "ip -n %s link set lo up && ip -n %s link set eth0 up && ip -n %s addr add %s.2/24 dev eth0 && ip -n %s route add default via %s.1",
               name, name, name, mac, name, name, bridge, name, name, name, v4, name, v4) &&
        sh("ip -n %s addr add %s::2/64 dev eth0 nodad && ip -n %s route add default via %s::1", name, v6, name, v6) &&
        sh("ip netns exec %s timeout 100 python3 %s/server >/dev/null 2>&1 & echo $! >>%s/pids", name, dir, dir);
}

static bool make_world(void)
{
    g_autofree char *tool = g_find_program_in_path("nft"), *s = g_build_filename(dir, "server", NULL), *c = g_build_filename(dir, "client", NULL), *r = g_build_filename(dir, "sender", NULL);
    if (!tool || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
        return false;
    g_assert_true(g_file_set_contents(s, server, -1, NULL) && g_file_set_contents(c, client, -1, NULL) && g_file_set_contents(r, sender, -1, NULL));
    return sh("for b in n:71 i:72 r:73; do n=br${b%%:*} a=${b#*:}; ip link add $n address " BRIDGE_MAC " type bridge && ip link set $n up && ip addr add 10.$a.0.1/24 dev $n && "
              "ip addr add fd00:$a::1/64 dev $n nodad && echo 1 >/proc/sys/net/ipv4/conf/$n/route_localnet || exit 1; done") &&
        sh("echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding") &&
        make_guest("ga", "brn", "10.71.0", "fd00:71", GUEST_MAC) && sh("ip link set vga type bridge_slave hairpin on") && make_guest("gb", "brn", "10.71.0", "fd00:71", "52:54:00:00:00:0b") &&
        sh("ip -n gb addr flush dev eth0 scope global && ip -n gb addr add 10.71.0.3/24 dev eth0 && ip -n gb addr add fd00:71::3/64 dev eth0 nodad && "
           "ip -n gb route add default via 10.71.0.1 && ip -n gb route replace default via fd00:71::1") &&
        make_guest("gi", "bri", "10.72.0", "fd00:72", "52:54:00:00:00:0c") && make_guest("gr", "brr", "10.73.0", "fd00:73", "52:54:00:00:00:0d") &&
        sh("ip link add brx type bridge && ip link set brx up && ip addr add 10.79.0.1/24 dev brx && ip addr add fd00:79::1/64 dev brx nodad") &&
        make_guest("out", "brx", "10.79.0", "fd00:79", "52:54:00:00:00:0e");
}

/* Until each server answers, before there are rules. */
static void wait_for_world(void)
{
    static const char *const all[] = {"10.71.0.2", "10.71.0.3", "10.72.0.2", "10.73.0.2", "10.79.0.2"};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        for (unsigned n = 0; n < 50; n++) {
            g_autofree char *said = ask("", "udp", all[i], 6003);
            if (!g_str_equal(said, "no"))
                break;
            g_usleep(50000);
        }
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("vmd-firewall-XXXXXX", NULL);
    if (!dir || !net_enter_namespace() || !make_world())
        return 77;
    wait_for_world();
    g_assert_cmpint(sd_event_new(&event), ==, 0);
    firewall = firewall_new(event);
    g_test_add_func("/net-firewall/parse", parse);
    g_test_add_func("/net-firewall/collisions", collisions);
    g_test_add_func("/net-firewall/ports", ports);
    g_test_add_func("/net-firewall/networks", networks);
    g_test_add_func("/net-firewall/forwards", forwards);
    g_test_add_func("/net-firewall/many", many);
    g_test_add_func("/net-firewall/loopback", loopback);
    g_test_add_func("/net-firewall/frames", frames);
    g_test_add_func("/net-firewall/filters", filters);
    int r = g_test_run();
    firewall_free(firewall);
    sd_event_unref(event);
    (void) sh("kill $(cat %s/pids); rm -r %s", dir, dir);
    g_free(dir);
    return r;
}
