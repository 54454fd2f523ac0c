/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the rules of others do with a guest's packets. The rules are nft's own words (rulesets/make). */

#include "ruleset.h"

#include <string.h>

static Ruleset *load(const char *name)
{
    g_autofree char *file = g_strconcat(name, ".json", NULL), *text = NULL;
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "rulesets", file, NULL);
    gsize length;
    g_autoptr(GError) error = NULL;
    (void) g_file_get_contents(path, &text, &length, &error);
    g_assert_no_error(error);
    Ruleset *ruleset = ruleset_parse(text, length, NULL);
    g_assert_nonnull(ruleset);
    return ruleset;
}

static Address address(const char *text)
{
    Address a = {0};
    g_assert_cmpint(text ? address_parse(text, &a) : 0, ==, 0);
    return a;
}

/* "FAMILY TABLE CHAIN[:RULE-CHAIN][?]", the first; "" where all let it through. */
static char *drops(const Ruleset *ruleset, const RulesetPacket *packet)
{
    g_autoptr(GArray) found = ruleset_find_drops(ruleset, packet);
    if (found->len == 0)
        return g_strdup("");
    const RulesetDrop *drop = &g_array_index(found, RulesetDrop, 0);
    return g_strdup_printf("%s %s %s%s%s%s", drop->family, drop->table, drop->chain, drop->rule_chain ? ":" : "",
        drop->rule_chain ? drop->rule_chain : "", drop->maybe ? "?" : "");
}

typedef struct Case {
    const char *rules, *expected, *hook, *in, *out, *source;
    bool established, six;
    const char *protocol;
    uint16_t port;
} Case;

#define OUT "forward", "vmbr-default", "eth0", "192.168.100.0/24", false, false, "tcp", 0
#define BACK "forward", "eth0", "vmbr-default", NULL, true, false, "tcp", 0
#define DHCP "input", "vmbr-default", NULL, NULL, false, false, "udp", 67
#define DNS "input", "vmbr-default", NULL, "192.168.100.0/24", false, false, "udp", 53
#define OUT6 "forward", "vmbr-default", "eth0", "fd00::/64", false, true, "tcp", 0

static void test_cases(void)
{
    static const Case cases[] = {
        {"docker", "ip filter FORWARD", OUT},
        {"docker", "ip filter FORWARD", BACK},
        {"docker", "", DHCP},
        {"docker", "", OUT6}, /* it has rules for IPv4 alone */
        {"docker", "", "forward", "docker0", "eth0", NULL, false, false, "tcp", 0},
        {"docker", "", "forward", "eth0", "docker0", NULL, true, false, "tcp", 0},
        {"docker", "ip filter FORWARD", "forward", "eth0", "docker0", NULL, false, false, "tcp", 0},
        {"docker-mended", "", OUT},
        {"docker-mended", "", BACK},
        {"docker-mended", "ip filter FORWARD", "forward", "vmbr-other", "eth0", NULL, false, false, "tcp", 0},
        {"ufw", "ip filter FORWARD", OUT},
        {"ufw", "", BACK},
        {"ufw", "ip filter INPUT", DHCP},
        {"ufw", "ip filter INPUT", DNS},
        {"ufw", "", "input", "eth0", NULL, NULL, false, false, "tcp", 22},
        {"ufw-mended", "", OUT},
        {"ufw-mended", "", DHCP},
        {"ufw-mended", "", DNS},
        {"firewalld", "inet firewalld filter_FORWARD:filter_FWD_public", OUT},
        {"firewalld", "inet firewalld filter_FORWARD:filter_FWD_public", OUT6},
        {"firewalld", "", BACK},
        {"firewalld", "inet firewalld filter_INPUT:filter_IN_public", DHCP},
        {"firewalld-mended", "", OUT},
        {"firewalld-mended", "", OUT6},
        {"firewalld-mended", "", DHCP},
        {"firewalld-mended", "", DNS},
        {"server", "inet filter forward", OUT},
        {"server", "", BACK},
        {"server", "inet filter input?", DHCP}, /* the friends may be let in */
        {"server", "inet filter input?", DNS},
        {"server", "", "input", "vmbr-lab", NULL, NULL, false, false, "udp", 67},
        {"server", "", "input", "eth0", NULL, NULL, false, false, "tcp", 443},
        {"server", "inet filter input?", "input", "eth0", NULL, NULL, false, false, "tcp", 444},
        {"server", "", "input", "eth0", NULL, NULL, true, false, "tcp", 444},
        {"server", "", "forward", "vmbr-ten", "eth0", "10.1.0.0/16", false, false, "tcp", 0},
        {"server", "inet filter forward?", "forward", "vmbr-ten", "eth0", "0.0.0.0/1", false, false, "tcp", 0},
        {"server", "", "forward", "br-lan", "eth0", NULL, false, false, "tcp", 0},
        {"server", "inet filter forward?", "forward", "vmbr-web", "eth0", "192.168.7.0/24", false, false, "tcp", 0},
        {"server", "inet filter forward:forward", "forward", "vmbr-bad", "eth1", "192.168.7.0/24", false, false, "tcp", 0},
        {"server", "", "forward", "vmbr-x", "eth1", "192.168.7.0/24", false, false, "tcp", 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        g_autoptr(Ruleset) ruleset = load(c->rules);
        const RulesetPacket packet = {
            .hook = c->hook,
            .family = c->six ? AF_INET6 : AF_INET,
            .in = c->in,
            .out = c->out,
            .source = address(c->source),
            .established = c->established,
            .protocol = c->protocol,
            .port = c->port,
        };
        g_autofree char *got = drops(ruleset, &packet);
        g_test_message("case %zu: %s, %s from %s", i, c->rules, c->hook, c->in);
        g_assert_cmpstr(got, ==, c->expected);
    }
}

static void test_tables(void)
{
    g_autoptr(Ruleset) docker = load("docker"), firewalld = load("firewalld");
    g_assert_true(ruleset_has(docker, "ip", "filter", "DOCKER-USER"));
    g_assert_true(ruleset_has(docker, "ip", "filter", NULL));
    g_assert_false(ruleset_has(docker, "ip6", "filter", "DOCKER-USER"));
    g_assert_false(ruleset_has(docker, "inet", "vmd", NULL));
    g_assert_true(ruleset_has(firewalld, "inet", "firewalld", NULL));
}

static void expect_text(const char *text, const char *expected)
{
    const RulesetPacket packet = {.hook = "forward", .family = AF_INET, .in = "a", .out = "b"};
    g_autoptr(Error) error = NULL;
    g_autoptr(Ruleset) ruleset = ruleset_parse(text, strlen(text), &error);
    if (!expected) {
        g_assert_null(ruleset);
        g_assert_nonnull(error);
        return;
    }
    g_assert_nonnull(ruleset);
    g_autofree char *got = drops(ruleset, &packet);
    g_assert_cmpstr(got, ==, expected);
}

#define CHAIN(name, more) "{\"chain\":{\"family\":\"ip\",\"table\":\"t\",\"name\":\"" name "\"" more "}}"
#define BASE CHAIN("f", ",\"type\":\"filter\",\"hook\":\"forward\",\"prio\":0,\"policy\":\"drop\"")
#define RULE(chain, expr) "{\"rule\":{\"family\":\"ip\",\"table\":\"t\",\"chain\":\"" chain "\",\"expr\":[" expr "]}}"

/* What nft does not say today, and what it never should. */
static void test_odd(void)
{
    expect_text("", NULL);
    expect_text("[]", NULL);
    expect_text("{\"nftables\":{}}", NULL);
    expect_text("{\"nftables\":[]}", "");
    expect_text("{\"nftables\":[1,\"x\",{},{\"chain\":3},{\"rule\":{}},{\"chain\":{\"family\":\"ip\"}}]}", "");
    expect_text("{\"nftables\":[" BASE "]}", "ip t f");
    expect_text("{\"nftables\":[" BASE "," RULE("f", "{\"accept\":null}") "]}", "");
    expect_text("{\"nftables\":[" BASE "," RULE("nowhere", "{\"accept\":null}") "]}", "ip t f");
    expect_text("{\"nftables\":[" BASE "," RULE("f", "{\"match\":{}},{\"accept\":null}") "]}", "ip t f?");
    expect_text("{\"nftables\":[" BASE "," RULE("f", "{\"future\":{}},{\"jump\":{\"target\":\"nowhere\"}}") "]}", "ip t f");
    /* A loop, which the kernel would refuse, and a tree that would take for ever. */
    expect_text("{\"nftables\":[" BASE "," CHAIN("g", "") "," RULE("f", "{\"jump\":{\"target\":\"g\"}}") ","
        RULE("g", "{\"jump\":{\"target\":\"g\"}}") "," RULE("g", "{\"jump\":{\"target\":\"g\"}}") "]}", "ip t f");
    /* "goto" does not come back. */
    expect_text("{\"nftables\":[" BASE "," CHAIN("g", "") "," RULE("f", "{\"goto\":{\"target\":\"g\"}}") "," RULE("f", "{\"accept\":null}") "]}", "ip t f");
    expect_text("{\"nftables\":[" BASE "," CHAIN("g", "") "," RULE("f", "{\"jump\":{\"target\":\"g\"}}") "," RULE("f", "{\"accept\":null}") "]}", "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net-ruleset/cases", test_cases);
    g_test_add_func("/net-ruleset/tables", test_tables);
    g_test_add_func("/net-ruleset/odd", test_odd);
    return g_test_run();
}
