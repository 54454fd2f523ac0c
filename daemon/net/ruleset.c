/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ruleset.h"

#include <jansson.h>
#include <string.h>

#define DEPTH_MAX 32U      /* the kernel's is 16 */
#define STEPS_MAX 200000U  /* rules looked at for one packet */

typedef struct Chain {
    const char *family, *table, *name;
    const char *type, *hook, *policy; /* NULL: no base chain */
    GPtrArray *rules;                 /* json_t: the list of a rule's expressions; borrowed */
} Chain;

struct Ruleset {
    json_t *json;
    GHashTable *chains; /* "FAMILY TABLE NAME" to Chain */
    GPtrArray *order;   /* the same */
};

static const char *get_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- reading ---- */

static char *chain_key(const char *family, const char *table, const char *name)
{
    return g_strdup_printf("%s %s %s", family, table, name);
}

static void chain_free(void *data)
{
    Chain *chain = data;
    g_ptr_array_unref(chain->rules);
    g_free(chain);
}

static Chain *find_chain(const Ruleset *ruleset, const char *family, const char *table, const char *name)
{
    g_autofree char *key = chain_key(family, table, name);
    return g_hash_table_lookup(ruleset->chains, key);
}

static void read_chain(Ruleset *ruleset, const json_t *object)
{
    const char *family = get_string(object, "family"), *table = get_string(object, "table"), *name = get_string(object, "name");
    if (!family || !table || !name || find_chain(ruleset, family, table, name))
        return;
    Chain *chain = g_new(Chain, 1);
    *chain = (Chain){
        .family = family,
        .table = table,
        .name = name,
        .type = get_string(object, "type"),
        .hook = get_string(object, "hook"),
        .policy = get_string(object, "policy"),
        .rules = g_ptr_array_new(),
    };
    g_hash_table_insert(ruleset->chains, chain_key(family, table, name), chain);
    g_ptr_array_add(ruleset->order, chain);
}

static void read_rule(Ruleset *ruleset, const json_t *object)
{
    const char *family = get_string(object, "family"), *table = get_string(object, "table"), *name = get_string(object, "chain");
    Chain *chain = family && table && name ? find_chain(ruleset, family, table, name) : NULL;
    json_t *expressions = json_object_get(object, "expr");
    if (chain && json_is_array(expressions))
        g_ptr_array_add(chain->rules, expressions);
}

Ruleset *ruleset_parse(const char *text, size_t length, Error **ret_error)
{
    json_error_t error;
    json_t *json = json_loadb(text, length, 0, &error), *list = json_object_get(json, "nftables"), *item;
    size_t i;
    if (!json_is_array(list)) {
        error_set(ret_error, ERROR_FAILED, "the list of rules", NULL, "it cannot be read: %s", json ? "it is no list" : error.text);
        json_decref(json);
        return NULL;
    }
    Ruleset *ruleset = g_new(Ruleset, 1);
    *ruleset = (Ruleset){
        .json = json,
        .chains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, chain_free),
        .order = g_ptr_array_new(),
    };
    json_array_foreach(list, i, item)
        read_chain(ruleset, json_object_get(item, "chain"));
    json_array_foreach(list, i, item)
        read_rule(ruleset, json_object_get(item, "rule"));
    return ruleset;
}

void ruleset_free(Ruleset *ruleset)
{
    if (!ruleset)
        return;
    g_ptr_array_unref(ruleset->order);
    g_hash_table_unref(ruleset->chains);
    json_decref(ruleset->json);
    g_free(ruleset);
}

bool ruleset_has(const Ruleset *ruleset, const char *family, const char *table, const char *chain)
{
    for (guint i = 0; i < ruleset->order->len; i++) {
        const Chain *one = ruleset->order->pdata[i];
        if (g_str_equal(one->family, family) && g_str_equal(one->table, table) && (!chain || g_str_equal(one->name, chain)))
            return true;
    }
    return false;
}

/* ---- whether a rule is about the packet ---- */

typedef enum Answer { NO, PERHAPS, YES } Answer;

static Answer negate(Answer answer)
{
    return YES - answer;
}

/* What the left side of a comparison is, of this packet. */
typedef struct Value {
    enum { UNKNOWN, WORD, LINK, ADDRESS, NUMBER } kind;
    const char *word;
    const Address *address;
    uint64_t number;
} Value;

/* A name may end with "*", for any that begins so. */
static bool link_matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);
    return length > 0 && pattern[length - 1] == '*' ? strncmp(pattern, name, length - 1) == 0 : strcmp(pattern, name) == 0;
}

/* Of a network of which one does not know which address it is: whether all, some or none of them are in the other one. */
static Answer address_is_in(const Address *address, const Address *network)
{
    if (!address_overlaps(network, address))
        return NO;
    return address->family == network->family && network->prefix <= address->prefix ? YES : PERHAPS;
}

static Answer compare_address(const Address *address, const json_t *right)
{
    const json_t *prefix = json_object_get(right, "prefix");
    const char *text = json_is_string(right) ? json_string_value(right) : get_string(prefix, "addr");
    Address network;
    if (!text || address_parse(text, &network) < 0)
        return PERHAPS;
    json_int_t bits = prefix ? json_integer_value(json_object_get(prefix, "len")) : network.prefix;
    if (bits < 0 || bits > network.prefix)
        return PERHAPS;
    network.prefix = (unsigned) bits;
    return address_is_in(address, &network);
}

static Answer compare_number(uint64_t number, const json_t *right)
{
    const json_t *range = json_object_get(right, "range");
    const json_t *first = range ? json_array_get(range, 0) : right, *last = range ? json_array_get(range, 1) : right;
    if (!json_is_integer(first) || !json_is_integer(last))
        return PERHAPS;
    return number >= (uint64_t) json_integer_value(first) && number <= (uint64_t) json_integer_value(last) ? YES : NO;
}

static Answer compare(const Value *value, const json_t *right);

/* Any of a list or a set. */
static Answer compare_any(const Value *value, const json_t *list)
{
    Answer best = NO;
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
        best = MAX(best, compare(value, one));
    return best;
}

static Answer compare(const Value *value, const json_t *right)
{
    const char *word = json_string_value(right);
    if (value->kind == UNKNOWN || (word && word[0] == '@'))
        return PERHAPS;
    if (json_is_array(right))
        return compare_any(value, right);
    if (json_object_get(right, "set"))
        return compare(value, json_object_get(right, "set"));
    if (json_object_get(right, "elem"))
        return compare(value, json_object_get(json_object_get(right, "elem"), "val"));
    switch (value->kind) {
    case WORD:
        return !word ? PERHAPS : g_str_equal(word, value->word) ? YES : NO;
    case LINK:
        return !word ? PERHAPS : link_matches(word, value->word) ? YES : NO;
    case ADDRESS:
        return compare_address(value->address, right);
    case NUMBER:
        return compare_number(value->number, right);
    case UNKNOWN:
        break;
    }
    return PERHAPS;
}

static Value word_value(const char *word)
{
    return word ? (Value){.kind = WORD, .word = word} : (Value){.kind = UNKNOWN};
}

static Value link_value(const char *name)
{
    return name ? (Value){.kind = LINK, .word = name} : (Value){.kind = UNKNOWN};
}

static Value address_value(const RulesetPacket *packet, const char *field)
{
    const Address *address = g_strcmp0(field, "saddr") == 0 ? &packet->source : &packet->destination;
    return address->family != AF_UNSPEC ? (Value){.kind = ADDRESS, .address = address} : (Value){.kind = UNKNOWN};
}

static Value meta_value(const RulesetPacket *packet, const char *key)
{
    if (g_strcmp0(key, "iifname") == 0 || g_strcmp0(key, "iif") == 0)
        return link_value(packet->in);
    if (g_strcmp0(key, "oifname") == 0 || g_strcmp0(key, "oif") == 0)
        return link_value(packet->out);
    if (g_strcmp0(key, "l4proto") == 0)
        return word_value(packet->protocol);
    if (g_strcmp0(key, "nfproto") == 0)
        return word_value(packet->family == AF_INET ? "ipv4" : "ipv6");
    if (g_strcmp0(key, "protocol") == 0)
        return word_value(packet->family == AF_INET ? "ip" : "ip6");
    return (Value){.kind = UNKNOWN};
}

static Value payload_value(const RulesetPacket *packet, const json_t *payload)
{
    const char *protocol = get_string(payload, "protocol"), *field = get_string(payload, "field");
    if (!protocol || !field)
        return (Value){.kind = UNKNOWN};
    bool four = g_str_equal(protocol, "ip"), six = g_str_equal(protocol, "ip6");
    if ((four || six) && g_str_has_suffix(field, "addr"))
        return address_value(packet, field);
    if ((four && g_str_equal(field, "protocol")) || (six && g_str_equal(field, "nexthdr")))
        return word_value(packet->protocol);
    bool ours = g_str_equal(protocol, "th") || g_strcmp0(protocol, packet->protocol) == 0;
    if (packet->port && ours && g_str_equal(field, "dport"))
        return (Value){.kind = NUMBER, .number = packet->port};
    return (Value){.kind = UNKNOWN};
}

static Value left_value(const RulesetPacket *packet, const json_t *left)
{
    const json_t *meta = json_object_get(left, "meta"), *payload = json_object_get(left, "payload"), *ct = json_object_get(left, "ct");
    if (meta)
        return meta_value(packet, get_string(meta, "key"));
    if (payload)
        return payload_value(packet, payload);
    if (g_strcmp0(get_string(ct, "key"), "state") == 0)
        return word_value(packet->established ? "established" : "new");
    return (Value){.kind = UNKNOWN};
}

/* Of another protocol than the packet's: "tcp dport 22" says so without a word about the protocol. */
static bool is_of_others(const RulesetPacket *packet, const json_t *left)
{
    const char *protocol = get_string(json_object_get(left, "payload"), "protocol");
    if (!protocol)
        return false;
    if (g_str_equal(protocol, "ip") || g_str_equal(protocol, "ip6"))
        return g_str_equal(protocol, "ip") != (packet->family == AF_INET);
    static const char *const transports[] = {"tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah", NULL};
    return packet->protocol && g_strv_contains(transports, protocol) && !g_str_equal(protocol, packet->protocol);
}

static Answer match(const RulesetPacket *packet, const json_t *match)
{
    const json_t *left = json_object_get(match, "left"), *right = json_object_get(match, "right");
    const char *operator = get_string(match, "op");
    if (is_of_others(packet, left))
        return NO;
    /* "ct status dnat": no packet that is asked about has gone through a forward. */
    if (g_strcmp0(get_string(json_object_get(left, "ct"), "key"), "status") == 0)
        return NO;
    Value value = left_value(packet, left);
    if (value.kind == UNKNOWN || !operator)
        return PERHAPS;
    if (g_str_equal(operator, "==") || g_str_equal(operator, "in"))
        return compare(&value, right);
    return g_str_equal(operator, "!=") ? negate(compare(&value, right)) : PERHAPS;
}

/* ---- what a rule does ---- */

typedef enum Verdict { GO_ON, ACCEPT, DROP, RETURN, JUMP, GOTO } Verdict;

typedef struct Rule {
    Answer applies;
    bool names_in;     /* asks for the link that it comes in by */
    bool tracks;       /* asks for the state of the connection, in iptables' way, which the text does not tell */
    Verdict verdict;
    const char *target;
} Rule;

static bool read_verdict(const json_t *expression, Rule *rule)
{
    static const struct {
        const char *key;
        Verdict verdict;
    } verdicts[] = {{"accept", ACCEPT}, {"drop", DROP}, {"reject", DROP}, {"return", RETURN}, {"jump", JUMP}, {"goto", GOTO}};
    for (size_t i = 0; i < G_N_ELEMENTS(verdicts); i++) {
        const json_t *found = json_object_get(expression, verdicts[i].key);
        if (!found)
            continue;
        rule->verdict = verdicts[i].verdict;
        rule->target = get_string(found, "target");
        return true;
    }
    return false;
}

/* The first entry whose key is the packet's. */
static void read_map(const RulesetPacket *packet, const json_t *map, Rule *rule)
{
    Value value = left_value(packet, json_object_get(map, "key"));
    const json_t *entries = json_object_get(json_object_get(map, "data"), "set");
    size_t i;
    json_t *entry;
    if (value.kind == UNKNOWN || !json_is_array(entries)) {
        rule->applies = MIN(rule->applies, PERHAPS);
        return;
    }
    json_array_foreach(entries, i, entry) {
        Answer answer = compare(&value, json_array_get(entry, 0));
        if (answer == NO || !read_verdict(json_array_get(entry, 1), rule))
            continue;
        rule->applies = MIN(rule->applies, answer);
        return;
    }
    rule->applies = NO;
}

/* Extensions of iptables, of which the text has no more than the name. */
static void read_extension(const json_t *extension, Rule *rule)
{
    static const char *const harmless[] = {"comment", NULL}, *const drops[] = {"REJECT", "DROP", NULL};
    const char *name = get_string(extension, "name");
    bool is_match = g_strcmp0(get_string(extension, "type"), "match") == 0;
    if (!name || (is_match && g_strv_contains(harmless, name)))
        return;
    if (is_match && (g_str_equal(name, "conntrack") || g_str_equal(name, "state")))
        rule->tracks = true;
    else if (is_match)
        rule->applies = MIN(rule->applies, PERHAPS);
    else if (g_strv_contains(drops, name))
        rule->verdict = DROP;
}

static void read_expression(const RulesetPacket *packet, const json_t *expression, Rule *rule)
{
    const json_t *found;
    if ((found = json_object_get(expression, "match"))) {
        Answer answer = match(packet, found);
        const char *key = get_string(json_object_get(json_object_get(found, "left"), "meta"), "key");
        rule->names_in |= key && answer == YES && g_str_has_prefix(key, "iif") && g_strcmp0(get_string(found, "op"), "!=") != 0;
        rule->applies = MIN(rule->applies, answer);
    } else if ((found = json_object_get(expression, "vmap"))) {
        read_map(packet, found, rule);
    } else if ((found = json_object_get(expression, "xt"))) {
        read_extension(found, rule);
    } else if (json_object_get(expression, "limit") || json_object_get(expression, "quota") || json_object_get(expression, "ct count")) {
        rule->applies = MIN(rule->applies, PERHAPS);
    } else {
        (void) read_verdict(expression, rule);
    }
}

/* "-m conntrack --ctstate" is nearly always there to accept answers, or to drop what is invalid. Only where the rule is about
 * what comes in by this very link it may be meant to let in new ones. */
static Rule read_rule_for(const RulesetPacket *packet, const json_t *expressions)
{
    Rule rule = {.applies = YES};
    size_t i;
    json_t *expression;
    json_array_foreach(expressions, i, expression)
        read_expression(packet, expression, &rule);
    if (rule.tracks && rule.verdict == DROP)
        rule.applies = NO;
    else if (rule.tracks && !packet->established)
        rule.applies = rule.names_in ? MIN(rule.applies, PERHAPS) : NO;
    return rule;
}

/* ---- the packet's way ---- */

typedef struct Walk {
    const Ruleset *ruleset;
    const RulesetPacket *packet;
    bool maybe;             /* something accepts it perhaps */
    const char *rule_chain; /* that dropped it */
    unsigned steps;
} Walk;

/* GO_ON: it comes out at the end. `sure`: the packet gets here whatever it is; what is not sure neither drops nor ends the walk. */
static Verdict walk_chain(Walk *walk, const Chain *chain, bool sure, unsigned depth)
{
    for (guint i = 0; i < chain->rules->len && walk->steps < STEPS_MAX; i++) {
        Rule rule = read_rule_for(walk->packet, chain->rules->pdata[i]);
        walk->steps++;
        if (rule.applies == NO || rule.verdict == GO_ON)
            continue;
        bool certain = sure && rule.applies == YES;
        if (rule.verdict == ACCEPT) {
            walk->maybe |= !certain;
            if (rule.applies == YES)
                return certain ? ACCEPT : GO_ON;
        } else if (rule.verdict == DROP) {
            if (certain)
                walk->rule_chain = chain->name;
            if (rule.applies == YES)
                return certain ? DROP : GO_ON;
        } else if (rule.verdict == RETURN) {
            if (rule.applies == YES)
                return GO_ON;
            sure = false; /* from here on, in this chain */
        } else if (depth < DEPTH_MAX && rule.target) {
            const Chain *target = find_chain(walk->ruleset, chain->family, chain->table, rule.target);
            Verdict verdict = target ? walk_chain(walk, target, certain, depth + 1) : GO_ON;
            if (verdict != GO_ON || (rule.verdict == GOTO && rule.applies == YES))
                return verdict;
        }
    }
    return GO_ON;
}

static bool is_for(const Chain *chain, const RulesetPacket *packet)
{
    if (!chain->hook || g_strcmp0(chain->type, "filter") != 0 || !g_str_equal(chain->hook, packet->hook))
        return false;
    return g_str_equal(chain->family, "inet") || g_str_equal(chain->family, packet->family == AF_INET ? "ip" : "ip6");
}

GArray *ruleset_find_drops(const Ruleset *ruleset, const RulesetPacket *packet)
{
    GArray *drops = g_array_new(FALSE, FALSE, sizeof(RulesetDrop));
    for (guint i = 0; i < ruleset->order->len; i++) {
        const Chain *chain = ruleset->order->pdata[i];
        Walk walk = {.ruleset = ruleset, .packet = packet};
        if (!is_for(chain, packet))
            continue;
        Verdict verdict = walk_chain(&walk, chain, true, 0);
        if (verdict == ACCEPT || (verdict == GO_ON && g_strcmp0(chain->policy, "drop") != 0))
            continue;
        const RulesetDrop drop = {
            .family = chain->family, .table = chain->table, .chain = chain->name, .rule_chain = walk.rule_chain, .maybe = walk.maybe};
        g_array_append_val(drops, drop);
    }
    return drops;
}
