/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A real dnsmasq takes the text that is made for it, and does what that is to mean: it serves a guest, which is a network namespace
 * behind a veth, as a user without rights but for the capabilities that its service has (network/server.c). */
#include "dnsmasq.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lease.h"
#include "net-shell.h"
#include "value.h"

#define HOUR (3600 * USEC_PER_SEC)
#define OWN_MAC "52:54:00:00:00:0a"
#define STRANGE_MAC "52:54:00:00:00:99"

/* What udhcpc was told, one a line. */
static const char script[] = "#!/bin/sh\n[ \"$1\" != bound ] || echo \"ip=$ip router=$router dns=$dns domain=$domain mtu=$mtu hostname=$hostname\"\n";
static char *dir, *hosts, *leases_path;

static Address address(const char *text)
{
    Address a;
    g_assert_cmpint(address_parse(text, &a), ==, 0);
    return a;
}

typedef struct Server { /* not to be moved */
    Address addresses[3];
    DnsmasqSpec spec;
    pid_t pid;
} Server;

static void server_init(Server *server, const char *v4, const char *v6)
{
    *server = (Server){.spec = {.bridge = "brt", .addresses = server->addresses, .domain = "t.internal", .hosts_file = hosts, .lease_file = leases_path,
        .dhcp = true, .router = true, .lease_usec = HOUR}};
    if (v4) {
        Address a = address(v4);
        server->addresses[server->spec.n_addresses++] = a;
        g_assert_true(address_nth(&a, 100, &server->spec.first) && address_nth(&a, 110, &server->spec.last));
    }
    if (v6)
        server->addresses[server->spec.n_addresses++] = address(v6);
}

static char *write_config(const DnsmasqSpec *spec)
{
    g_autofree char *text = dnsmasq_config(spec);
    char *path = g_build_filename(dir, "dnsmasq.conf", NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    return path;
}

static void write_hosts(const char *mac, const char *name, const char *v4)
{
    DnsmasqHost host = {.name = name, .v4 = address(v4)};
    g_assert_cmpint(mac_parse(mac, &host.mac), ==, 0);
    g_autofree char *text = dnsmasq_hosts(&host, 1);
    g_assert_true(g_file_set_contents(hosts, text, -1, NULL));
}

/* What guests may see of the network, from outside. */
static char *in_guest(const char *command)
{
    g_autofree char *all = g_strdup_printf("ip netns exec gd %s 2>/dev/null", command);
    char out[1024];
    FILE *f = popen(all, "r");
    g_assert_nonnull(f);
    out[fread(out, 1, sizeof out - 1, f)] = '\0';
    pclose(f);
    g_test_message("%s: %s", all, g_strchomp(out));
    return g_strdup(out);
}

static char *dhcp(const char *options)
{
    g_autofree char *command = g_strdup_printf("busybox udhcpc -i eth0 -fnq -t 8 -T 1 -O mtu -O hostname -s %s/script %s", dir, options);
    return in_guest(command);
}

static void server_start(Server *server)
{
    g_autofree char *config = write_config(&server->spec), *option = g_strdup_printf("--conf-file=%s", config);
    const char *const argv[] = {"timeout", "--foreground", "100", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all,+net_bind_service,+net_admin,+net_raw",
        "--inh-caps=-all,+net_bind_service,+net_admin,+net_raw", "--ambient-caps=-all,+net_bind_service,+net_admin,+net_raw", "dnsmasq", "--keep-in-foreground", option, NULL};
    g_autoptr(GError) error = NULL;
    g_assert_true(sh("ip link add brt type bridge && ip link set brt address 52:54:00:aa:bb:cc && ip netns add gd && ip link add vd type veth peer name eth0 netns gd address " OWN_MAC
                     " && ip link set vd master brt && ip link set vd up && ip link set brt up && ip -n gd link set lo up && ip netns exec gd sysctl -qw net.ipv6.conf.all.accept_ra=1 "
                     "net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth0.autoconf=1 net.ipv6.conf.eth0.addr_gen_mode=0"));
    for (size_t i = 0; i < server->spec.n_addresses; i++) {
        g_autofree char *text = address_to_string(&server->addresses[i]);
        g_assert_true(sh("ip addr add %s dev brt %s", text, server->addresses[i].family == AF_INET6 ? "nodad" : ""));
    }
    (void) unlink(leases_path);
    g_assert_true(g_spawn_async(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &server->pid, &error));
    g_assert_true(sh("for i in $(seq 200); do ss -Hlnup sport = 53 | grep -q brt && exit; ss -Hlnu sport = 53 | grep -q . && exit; sleep 0.05; done; exit 1"));
    g_assert_true(sh("ip -n gd link set eth0 up"));
}

static void server_stop(Server *server)
{
    int status;
    g_assert_cmpint(waitpid(server->pid, &status, WNOHANG), ==, 0); /* it has not given up */
    g_assert_cmpint(kill(server->pid, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(server->pid, &status, 0), ==, server->pid);
    g_assert_true(sh("ip netns del gd && ip link del brt"));
}

static void accepts(const DnsmasqSpec *spec)
{
    g_autofree char *config = write_config(spec);
    if (!sh("dnsmasq --test --conf-file=%s >%s/said 2>&1", config, dir)) {
        (void) sh("cat %s/said %s >&2", dir, config);
        g_assert_not_reached();
    }
}

static void texts(void)
{
    static const char *const v4[] = {NULL, "10.71.0.1/24", "10.71.0.1/16", "10.0.0.1/8"}, *const v6[] = {NULL, "fd00:71::1/64", "fd00:71::1/112", "fd00:71::1/126", "fd00:71::1/48"};
    static const uint64_t times[] = {0, USEC_PER_SEC, HOUR, USEC_INFINITY - 1, USEC_INFINITY};
    write_hosts(OWN_MAC, "web", "10.71.0.2");
    for (size_t i = 0; i < G_N_ELEMENTS(v4); i++)
        for (size_t k = 0; k < G_N_ELEMENTS(v6); k++)
            for (unsigned bits = 0; bits < 16; bits++) {
                Server server;
                server_init(&server, v4[i], v6[k]);
                server.spec.dhcp = bits & 1;
                server.spec.router = bits & 2;
                server.spec.domain = bits & 4 ? "a.very-long.name.of-a-domain.internal" : NULL;
                server.spec.mtu = bits & 8 ? 9000 : 0;
                server.spec.lease_usec = times[(bits + i + k) % G_N_ELEMENTS(times)];
                accepts(&server.spec);
            }
}

/* dnsmasq says of a table of hosts what it does not like when it reads it. */
static void names(void)
{
    const DnsmasqHost all[] = {
        {.name = "web", .v4 = address("10.71.0.2")}, {.name = "a.b", .v4 = address("10.71.0.3")}, {.name = "a-b", .v4 = address("10.71.0.4")}, {.name = "-_-", .v4 = address("10.71.0.5")},
        {.name = "_Up"}, {.name = "--"}, {.name = "a123456789b123456789c123456789d123456789e123456789f123456789g12-too-long"},
    };
    DnsmasqHost hosts_of[G_N_ELEMENTS(all)];
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        hosts_of[i] = all[i];
        hosts_of[i].mac = (struct ether_addr){{0x52, 0x54, 0, 0, 0, (uint8_t) (i + 1)}};
    }
    g_autofree char *text = dnsmasq_hosts(hosts_of, G_N_ELEMENTS(hosts_of));
    g_assert_cmpstr(text, ==, "52:54:00:00:00:01,10.71.0.2,web\n52:54:00:00:00:02,10.71.0.3,a-b\n52:54:00:00:00:03,10.71.0.4\n52:54:00:00:00:04,10.71.0.5\n52:54:00:00:00:05,up\n"
                              "52:54:00:00:00:07,a123456789b123456789c123456789d123456789e123456789f123456789g12\n");
}

static const Lease *find(const GArray *leases, const char *mac, int family)
{
    struct ether_addr m;
    g_assert_cmpint(mac_parse(mac, &m), ==, 0);
    for (guint i = 0; i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        if (lease->address.family == family && memcmp(&lease->mac, &m, sizeof m) == 0)
            return lease;
    }
    return NULL;
}

static void serves(void)
{
    Server server;
    server_init(&server, "10.71.0.1/24", NULL);
    server.spec.mtu = 1400;
    write_hosts(OWN_MAC, "web", "10.71.0.2");
    server_start(&server);

    /* Its own address and name, whatever it asks for. */
    g_autofree char *own = dhcp("-x hostname:evil -F evil.t.internal -r 10.71.0.105");
    g_assert_cmpstr(own, ==, "ip=10.71.0.2 router=10.71.0.1 dns=10.71.0.1 domain=t.internal mtu=1400 hostname=web");

    /* A stranger: one of the range, never another's, and no name. */
    g_assert_true(sh("ip -n gd link set eth0 down && ip -n gd link set eth0 address " STRANGE_MAC " && ip -n gd link set eth0 up"));
    g_autofree char *strange = dhcp("-x hostname:evil -F evil.t.internal -r 10.71.0.2 -x 61:0152540000000a");
    unsigned last = 0;
    g_assert_cmpint(sscanf(strange, "ip=10.71.0.%u ", &last), ==, 1);
    g_assert_true(last >= 100 && last <= 110);
    g_assert_true(g_str_has_suffix(strange, " hostname="));

    g_autoptr(GArray) leases = leases_read(leases_path);
    g_assert_cmpuint(leases->len, ==, 2);
    const Lease *of_own = find(leases, OWN_MAC, AF_INET), *of_strange = find(leases, STRANGE_MAC, AF_INET);
    g_assert_true(of_own && of_strange);
    g_assert_cmpstr(of_own->name, ==, "web");
    g_assert_cmpstr(of_strange->name, ==, "");
    g_assert_cmpuint(ntohl(of_strange->address.v4.s_addr), ==, 0x0a470000U | last);

    g_assert_true(sh("ip -n gd addr add 10.71.0.%u/24 dev eth0", last));
    g_assert_true(sh("ip netns exec gd busybox nslookup web.t.internal 10.71.0.1 | grep -q 10.71.0.2"));
    g_assert_false(sh("ip netns exec gd busybox nslookup evil.t.internal 10.71.0.1 | grep -q 'Address.*10.71.0.1[01]'"));

    /* A name that comes while it runs. */
    write_hosts(STRANGE_MAC, "later", "10.71.0.3");
    g_assert_cmpint(kill(server.pid, SIGHUP), ==, 0);
    bool there = false;
    for (unsigned i = 0; i < 20 && !there; i++) {
        g_autofree char *again = dhcp("-x hostname:evil");
        there = g_str_has_prefix(again, "ip=10.71.0.3 ") && g_str_has_suffix(again, " hostname=later");
    }
    g_assert_true(there);
    server_stop(&server);
}

/* Until a guest has made itself an address of what it heard. */
static bool has_address(const char *prefix)
{
    return sh("for i in $(seq 100); do ip -n gd -6 addr show dev eth0 scope global -tentative | grep -q 'inet6 %s' && exit; sleep 0.1; done; exit 1", prefix);
}

static void advertises(void)
{
    for (unsigned router = 0; router < 2; router++) {
        Server server;
        server_init(&server, "10.71.0.1/24", "fd00:71::1/64");
        server.spec.router = router;
        server.spec.mtu = 1400;
        write_hosts(OWN_MAC, "web", "10.71.0.2");
        server_start(&server);
        g_assert_true(has_address("fd00:71::5054:ff:fe00:a/64"));
        g_autofree char *said = dhcp(""), *route = in_guest("ip -6 route show default");
        g_assert_cmpstr(said, ==, router ? "ip=10.71.0.2 router=10.71.0.1 dns=10.71.0.1 domain=t.internal mtu=1400 hostname=web" :
            "ip=10.71.0.2 router= dns=10.71.0.1 domain=t.internal mtu=1400 hostname=web");
        g_assert_true((strstr(route, "proto ra") != NULL) == router);
        g_assert_true(router || *route == '\0'); /* isolated: no way out is told of */
        g_assert_true(sh("[ \"$(ip netns exec gd cat /proc/sys/net/ipv6/conf/eth0/mtu)\" = 1400 ]"));
        server_stop(&server);
    }
}

static bool has_applet(const char *applet)
{
    return sh("busybox --list | grep -qx %s", applet);
}

int main(int argc, char *argv[])
{
    static const char *const tools[] = {"dnsmasq", "busybox", "setpriv", "ss", "sysctl"};
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *path = g_find_program_in_path(tools[i]);
        if (!path)
            return 77;
    }
    if (!has_applet("udhcpc") || !net_enter_namespace() || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
        return 77;
    dir = g_strdup("/run/dnsmasq");
    hosts = g_build_filename(dir, "hosts", NULL);
    leases_path = g_build_filename(dir, "leases", NULL);
    g_autofree char *path = g_build_filename(dir, "script", NULL);
    g_assert_true(mkdir(dir, 0755) == 0 && chown(dir, 65534, 65534) == 0);
    g_assert_true(g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    g_test_add_func("/net-dnsmasq/names", names);
    g_test_add_func("/net-dnsmasq/texts", texts);
    g_test_add_func("/net-dnsmasq/serves", serves);
    g_test_add_func("/net-dnsmasq/advertises", advertises);
    int r = g_test_run();
    g_free(dir);
    g_free(hosts);
    g_free(leases_path);
    return r;
}
