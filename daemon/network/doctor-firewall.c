/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What packet filters of others do with guests' packets: an accept in vmd's own table cannot override a drop in another. */

#include <string.h>

#include "doctor-internal.h"
#include "sysctl.h"

/* Who made the chain, as far as one can tell, and what lets a link's packets through it. */
typedef enum Maker { MAKER_DOCKER, MAKER_UFW, MAKER_FIREWALLD, MAKER_IPTABLES, MAKER_NFT } Maker;

static bool is_iptables(const RulesetDrop *drop)
{
    bool family = g_str_equal(drop->family, "ip") || g_str_equal(drop->family, "ip6");
    return family && g_str_equal(drop->table, "filter") && (g_str_equal(drop->chain, "FORWARD") || g_str_equal(drop->chain, "INPUT"));
}

static Maker find_maker(const Ruleset *rules, const RulesetDrop *drop)
{
    if (g_str_has_prefix(drop->table, "firewalld"))
        return MAKER_FIREWALLD;
    if (!is_iptables(drop))
        return MAKER_NFT;
    if (g_str_equal(drop->chain, "FORWARD") && ruleset_has(rules, drop->family, "filter", "DOCKER-USER"))
        return MAKER_DOCKER;
    bool six = g_str_equal(drop->family, "ip6");
    return ruleset_has(rules, drop->family, "filter", six ? "ufw6-user-forward" : "ufw-user-forward") ? MAKER_UFW : MAKER_IPTABLES;
}

static char *make_remedy(Maker maker, const RulesetDrop *drop, const char *bridge)
{
    const char *iptables = g_str_equal(drop->family, "ip6") ? "ip6tables" : "iptables";
    bool input = g_ascii_strcasecmp(drop->chain, "INPUT") == 0;
    switch (maker) {
    case MAKER_DOCKER:
        return g_strdup_printf("%s -I DOCKER-USER -i %s -j ACCEPT; %s -I DOCKER-USER -o %s -j ACCEPT", iptables, bridge, iptables, bridge);
    case MAKER_UFW:
        return input ? g_strdup_printf("ufw allow in on %s", bridge) :
                       g_strdup_printf("ufw route allow in on %s; ufw route allow out on %s", bridge, bridge);
    case MAKER_FIREWALLD:
        return g_strdup_printf("firewall-cmd --permanent --zone=trusted --add-interface=%s; firewall-cmd --reload", bridge);
    case MAKER_IPTABLES:
        return input ? g_strdup_printf("%s -I INPUT -i %s -j ACCEPT", iptables, bridge) :
                       g_strdup_printf("%s -I FORWARD -i %s -j ACCEPT; %s -I FORWARD -o %s -j ACCEPT", iptables, bridge, iptables, bridge);
    case MAKER_NFT:
        break;
    }
    g_autofree char *rule = g_strdup_printf("nft insert rule %s %s %s", drop->family, drop->table, drop->chain);
    return g_strdup_printf("%s iifname %s accept; %s oifname %s accept", rule, bridge, rule, bridge);
}

static char *chain_thing(Maker maker, const RulesetDrop *drop)
{
    static const char *const names[] = {
        [MAKER_DOCKER] = " (Docker)", [MAKER_UFW] = " (ufw)", [MAKER_FIREWALLD] = " (firewalld)", [MAKER_IPTABLES] = " (iptables)", [MAKER_NFT] = ""};
    return g_strdup_printf("table %s %s, chain %s%s", drop->family, drop->table, drop->chain, names[maker]);
}

static char *drop_reason(const RulesetDrop *drop)
{
    if (!drop->rule_chain)
        return g_strdup("its policy is drop");
    return g_str_equal(drop->rule_chain, drop->chain) ? g_strdup("by a rule in it") : g_strdup_printf("by a rule in chain %s", drop->rule_chain);
}

static bool is_own(const RulesetDrop *drop)
{
    return g_str_equal(drop->table, "vmd");
}

/* Whether it is told for the first time. One exception for a bridge mends all that a chain does to it. */
static bool tell(Doctor *doctor, const char *bridge, const char *chain)
{
    return g_hash_table_add(doctor->told, g_strdup_printf("%s %s", bridge, chain));
}

/* ---- what is routed ---- */

typedef struct Question {
    RulesetPacket packet;
    const char *what; /* as the object of "drops" */
} Question;

static void ask_rules(Doctor *doctor, const Network *network, const Question *questions, size_t n)
{
    for (size_t q = 0; q < n; q++) {
        g_autoptr(GArray) drops = ruleset_find_drops(doctor->rules, &questions[q].packet);
        for (guint i = 0; i < drops->len; i++) {
            const RulesetDrop *drop = &g_array_index(drops, RulesetDrop, i);
            Maker maker = find_maker(doctor->rules, drop);
            g_autofree char *thing = chain_thing(maker, drop), *reason = drop_reason(drop), *remedy = make_remedy(maker, drop, network->run->bridge);
            if (is_own(drop) || !tell(doctor, network->run->bridge, thing))
                continue;
            doctor_find(doctor, drop->maybe ? FINDING_WARNING : FINDING_ERROR, thing, remedy, "it drops %s%s network \"%s\" (%s)",
                drop->maybe ? "some of " : "", questions[q].what, network->name, reason);
        }
    }
}

static bool is_reached_from_beyond(const Doctor *doctor, const Network *network)
{
    if (network->run->mode == NETWORK_ROUTED)
        return true;
    for (guint i = 0; i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        if (port->network == network && port->forwards->len > 0)
            return true;
    }
    return false;
}

static void look_at_family(Doctor *doctor, const Network *network, const Address *own)
{
    const NetworkRun *run = network->run;
    const char *uplink = *doctor->uplink ? doctor->uplink : NULL;
    const Address unknown = {.family = AF_UNSPEC}, nobody = {.family = AF_INET, .prefix = 32};
    const Address all = {.family = AF_INET, .prefix = 32, .v4.s_addr = INADDR_BROADCAST};
    Address subnet = *own;
    (void) address_nth(own, 0, &subnet);
    Question questions[5];
    size_t n = 0;
    if (network_goes_out(run)) {
        questions[n++] = (Question){{"forward", own->family, run->bridge, uplink, subnet, unknown, false, "tcp", 0}, "what is sent by guests of"};
        questions[n++] = (Question){{"forward", own->family, uplink, run->bridge, unknown, subnet, true, "tcp", 0}, "the answers to guests of"};
        if (is_reached_from_beyond(doctor, network))
            questions[n++] = (Question){{"forward", own->family, uplink, run->bridge, unknown, subnet, false, "tcp", 0}, "connections to guests of"};
    }
    if (run->dhcp && own->family == AF_INET)
        questions[n++] = (Question){{"input", AF_INET, run->bridge, NULL, nobody, all, false, "udp", 67}, "requests for an address from guests of"};
    if (run->dhcp)
        questions[n++] = (Question){{"input", own->family, run->bridge, NULL, subnet, *own, false, "udp", 53}, "questions for names from guests of"};
    ask_rules(doctor, network, questions, n);
}

void doctor_check_firewalls(Doctor *doctor)
{
    if (!doctor->rules) {
        g_autofree char *message = doctor->rules_error ? error_message(doctor->rules_error) : g_strdup("it is not known why");
        doctor_find(doctor, FINDING_WARNING, "firewalls", "nft list ruleset", "the rules cannot be read: %s", message);
        return;
    }
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        const GArray *addresses = network->run->addresses;
        bool done[2] = {false, false};
        for (guint a = 0; a < addresses->len; a++) {
            const Address *own = &g_array_index(addresses, Address, a);
            bool six = own->family == AF_INET6;
            if (!done[six])
                look_at_family(doctor, network, own);
            done[six] = true;
        }
    }
}

/* Nobody else takes them away on purpose but who empties all tables: "nft flush ruleset", a restart of nftables.service. */
void doctor_check_own_rules(Doctor *doctor)
{
    for (guint i = 0; doctor->rules && i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
        if (ruleset_has(doctor->rules, "inet", "vmd", NULL))
            continue;
        doctor_find(doctor, FINDING_ERROR, thing, "systemctl restart vmd",
            "vmd's table inet vmd is gone, and with it the way out; somebody has removed all rules (nft flush ruleset)");
    }
}

/* ---- what cannot be seen through nftables ---- */

static void look_at_old(Doctor *doctor, const char *path, const char *program)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    g_auto(GStrv) tables = g_strsplit(text, "\n", -1);
    if (!g_strv_contains((const char *const *) tables, "filter"))
        return;
    g_autofree char *thing = g_strdup_printf("%s-legacy", program), *remedy = g_strdup_printf("%s-legacy -S FORWARD", program);
    doctor_find(doctor, FINDING_WARNING, thing, remedy,
        "the host has rules of the old iptables, too, which vmd cannot read; where their FORWARD drops, it needs the same exception");
}

void doctor_check_old_iptables(Doctor *doctor)
{
    if (doctor->networks->len == 0)
        return;
    look_at_old(doctor, "/proc/net/ip_tables_names", "iptables");
    look_at_old(doctor, "/proc/net/ip6_tables_names", "ip6tables");
}

/* ---- what is bridged ---- */

static bool is_one(const char *sysctl)
{
    g_autofree char *value = sysctl_read(sysctl);
    return value && g_str_equal(value, "1");
}

static void look_at_bridge(Doctor *doctor, const char *bridge, int family)
{
    const char *sysctl = family == AF_INET ? "net.bridge.bridge-nf-call-iptables" : "net.bridge.bridge-nf-call-ip6tables";
    const RulesetPacket packet = {.hook = "forward", .family = family, .in = bridge, .out = bridge, .protocol = "tcp"};
    g_autoptr(GArray) drops = ruleset_find_drops(doctor->rules, &packet);
    for (guint i = 0; i < drops->len; i++) {
        const RulesetDrop *drop = &g_array_index(drops, RulesetDrop, i);
        g_autofree char *chain = chain_thing(find_maker(doctor->rules, drop), drop), *remedy = g_strdup_printf("sysctl -w %s=0", sysctl);
        if (!is_own(drop) && tell(doctor, bridge, chain))
            doctor_find(doctor, drop->maybe ? FINDING_WARNING : FINDING_ERROR, "br_netfilter", remedy,
                "it sends what is bridged in %s through %s, which drops %sit", bridge, chain, drop->maybe ? "some of " : "");
    }
}

void doctor_check_bridged(Doctor *doctor)
{
    g_autoptr(GHashTable) bridges = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; doctor->rules && i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        if (port->macvtap || !g_hash_table_add(bridges, port->bridge))
            continue;
        if (is_one("net/bridge/bridge-nf-call-iptables"))
            look_at_bridge(doctor, port->bridge, AF_INET);
        if (is_one("net/bridge/bridge-nf-call-ip6tables"))
            look_at_bridge(doctor, port->bridge, AF_INET6);
    }
}
