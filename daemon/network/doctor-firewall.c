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
        return g_strdup_printf("firewall-cmd --zone=vmd --change-interface=%s || firewall-cmd --reload", bridge);
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

/* ---- questions ---- */

static void drop_free(void *data)
{
    DoctorDrop *drop = data;
    g_free(drop->chain);
    g_free(drop->reason);
    g_free(drop->remedy);
    g_free(drop);
}

static void question_free(void *data)
{
    DoctorQuestion *question = data;
    g_free(question->network);
    g_free(question->bridge);
    g_free(question->uplink);
    g_ptr_array_unref(question->drops);
    g_free(question);
}

/* `packet` without links: that of `bridge` is the one it comes in by, or where `back` the one it leaves by. */
static void add_question(GPtrArray *questions, const char *what, const char *network, const char *bridge, const char *uplink, bool back, const RulesetPacket *packet)
{
    DoctorQuestion *question = g_new(DoctorQuestion, 1);
    *question = (DoctorQuestion){
        .packet = *packet,
        .network = g_strdup(network),
        .bridge = g_strdup(bridge),
        .uplink = g_strdup(uplink),
        .what = what,
        .drops = g_ptr_array_new_with_free_func(drop_free),
    };
    question->packet.in = back ? question->uplink : question->bridge;
    question->packet.out = back ? question->bridge : question->uplink;
    g_ptr_array_add(questions, question);
}

void doctor_answer(DoctorQuestion *question, const Ruleset *rules)
{
    g_autoptr(GArray) drops = ruleset_find_drops(rules, &question->packet);
    for (guint i = 0; i < drops->len; i++) {
        const RulesetDrop *found = &g_array_index(drops, RulesetDrop, i);
        Maker maker = find_maker(rules, found);
        if (is_own(found))
            continue;
        DoctorDrop *drop = g_new(DoctorDrop, 1);
        *drop = (DoctorDrop){
            .chain = chain_thing(maker, found),
            .reason = drop_reason(found),
            .remedy = make_remedy(maker, found, question->bridge),
            .maybe = found->maybe,
        };
        g_ptr_array_add(question->drops, drop);
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

static void ask_about_family(const Doctor *doctor, const Network *network, const Address *own, GPtrArray *questions)
{
    const NetworkRun *run = network->run;
    const char *uplink = *doctor->uplink ? doctor->uplink : NULL;
    const Address nobody = {.family = AF_INET, .prefix = 32}, all = {.family = AF_INET, .prefix = 32, .v4.s_addr = INADDR_BROADCAST};
    Address subnet = *own;
    (void) address_nth(own, 0, &subnet);
    const RulesetPacket out = {.hook = "forward", .family = own->family, .source = subnet, .protocol = "tcp"};
    const RulesetPacket back = {.hook = "forward", .family = own->family, .destination = subnet, .established = true, .protocol = "tcp"};
    const RulesetPacket in = {.hook = "forward", .family = own->family, .destination = subnet, .protocol = "tcp"};
    const RulesetPacket dhcp = {.hook = "input", .family = AF_INET, .source = nobody, .destination = all, .protocol = "udp", .port = 67};
    const RulesetPacket dns = {.hook = "input", .family = own->family, .source = subnet, .destination = *own, .protocol = "udp", .port = 53};
    if (network_goes_out(run)) {
        add_question(questions, "what is sent by guests of", network->name, run->bridge, uplink, false, &out);
        add_question(questions, "the answers to guests of", network->name, run->bridge, uplink, true, &back);
        if (is_reached_from_beyond(doctor, network))
            add_question(questions, "connections to guests of", network->name, run->bridge, uplink, true, &in);
    }
    if (run->dhcp && own->family == AF_INET)
        add_question(questions, "requests for an address from guests of", network->name, run->bridge, NULL, false, &dhcp);
    if (run->dhcp)
        add_question(questions, "questions for names from guests of", network->name, run->bridge, NULL, false, &dns);
}

static void ask_about_network(const Doctor *doctor, const Network *network, GPtrArray *questions)
{
    const GArray *addresses = network->run->addresses;
    bool done[2] = {false, false};
    for (guint a = 0; a < addresses->len; a++) {
        const Address *own = &g_array_index(addresses, Address, a);
        bool six = own->family == AF_INET6;
        if (!done[six])
            ask_about_family(doctor, network, own, questions);
        done[six] = true;
    }
}

static bool is_one(const char *sysctl)
{
    g_autofree char *value = sysctl_read(sysctl);
    return value && g_str_equal(value, "1");
}

/* Of those that have ports, ours or the host's, while br_netfilter sends frames through the rules for packets. */
static void ask_about_bridges(const Doctor *doctor, GPtrArray *questions)
{
    g_autoptr(GHashTable) bridges = g_hash_table_new(g_str_hash, g_str_equal);
    const RulesetPacket four = {.hook = "forward", .family = AF_INET, .protocol = "tcp"}, six = {.hook = "forward", .family = AF_INET6, .protocol = "tcp"};
    bool has_four = is_one("net/bridge/bridge-nf-call-iptables"), has_six = is_one("net/bridge/bridge-nf-call-ip6tables");
    for (guint i = 0; i < doctor->ports->len; i++) {
        const Port *port = doctor->ports->pdata[i];
        if (port->macvtap || !g_hash_table_add(bridges, port->bridge))
            continue;
        if (has_four)
            add_question(questions, NULL, NULL, port->bridge, port->bridge, false, &four);
        if (has_six)
            add_question(questions, NULL, NULL, port->bridge, port->bridge, false, &six);
    }
}

GPtrArray *doctor_questions(const Doctor *doctor)
{
    GPtrArray *questions = g_ptr_array_new_with_free_func(question_free);
    for (guint i = 0; i < doctor->networks->len; i++)
        ask_about_network(doctor, doctor->networks->pdata[i], questions);
    ask_about_bridges(doctor, questions);
    return questions;
}

/* ---- findings ---- */

/* Whether it is told for the first time. One exception for a bridge mends all that a chain does to it. */
static bool tell(Doctor *doctor, const DoctorQuestion *question, const DoctorDrop *drop)
{
    return g_hash_table_add(doctor->told, g_strdup_printf("%s %s", question->bridge, drop->chain));
}

static void tell_routed(Doctor *doctor, const DoctorQuestion *question, const DoctorDrop *drop)
{
    doctor_find(doctor, drop->maybe ? FINDING_WARNING : FINDING_ERROR, drop->chain, drop->remedy, "it drops %s%s network \"%s\" (%s)",
        drop->maybe ? "some of " : "", question->what, question->network, drop->reason);
}

static void tell_bridged(Doctor *doctor, const DoctorQuestion *question, const DoctorDrop *drop)
{
    bool six = question->packet.family == AF_INET6;
    doctor_find(doctor, drop->maybe ? FINDING_WARNING : FINDING_ERROR, "br_netfilter",
        six ? "sysctl -w net.bridge.bridge-nf-call-ip6tables=0" : "sysctl -w net.bridge.bridge-nf-call-iptables=0",
        "it sends what is bridged in %s through %s, which drops %sit", question->bridge, drop->chain, drop->maybe ? "some of " : "");
}

static void tell_all(Doctor *doctor, bool bridged, void (*each)(Doctor *, const DoctorQuestion *, const DoctorDrop *))
{
    for (guint i = 0; doctor->questions && i < doctor->questions->len; i++) {
        const DoctorQuestion *question = doctor->questions->pdata[i];
        for (guint j = 0; bridged == !question->network && j < question->drops->len; j++)
            if (tell(doctor, question, question->drops->pdata[j]))
                each(doctor, question, question->drops->pdata[j]);
    }
}

void doctor_check_firewalls(Doctor *doctor)
{
    g_autofree char *message = doctor->rules_error ? error_message(doctor->rules_error) : NULL;
    if (message)
        doctor_find(doctor, FINDING_WARNING, "firewalls", "nft list ruleset", "the rules cannot be read: %s", message);
    tell_all(doctor, false, tell_routed);
}

void doctor_check_bridged(Doctor *doctor)
{
    tell_all(doctor, true, tell_bridged);
}

/* Nobody else takes them away on purpose but who empties all tables: "nft flush ruleset", a restart of nftables.service. */
void doctor_check_own_rules(Doctor *doctor)
{
    for (guint i = 0; doctor->questions && !doctor->has_own_rules && i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
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
