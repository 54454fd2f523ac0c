/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Ruleset: what the host's packet filters would do with a packet, as far as their text tells.
 *
 * Read from nft's JSON ("list ruleset"), which has the rules of iptables-nft, ip6tables-nft, ufw, firewalld and Docker too; not those
 * of the old iptables (iptables-legacy). It walks the rules as the kernel does, with a packet of which only some is known: a rule that
 * asks for what is not known neither counts as one that drops, nor as one that surely accepts.
 *
 * Knows no networks. The text is the kernel's, the names in it are root's. */

#include <stddef.h>

#include "address.h"
#include "error.h"

typedef struct Ruleset Ruleset;

/* NULL and an Error where it is no such JSON. */
Ruleset *ruleset_parse(const char *json, size_t length, Error **ret_error);
void ruleset_free(Ruleset *ruleset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ruleset, ruleset_free)

typedef struct RulesetPacket {
    const char *hook;    /* "forward", "input" */
    int family;          /* AF_INET, AF_INET6 */
    const char *in, *out; /* links; NULL: not known */
    Address source, destination; /* or the networks that they are in; AF_UNSPEC: not known */
    bool established;    /* else it is the first of its connection */
    const char *protocol; /* "udp", "tcp"; NULL: not known */
    uint16_t port;       /* the destination's; 0: not known */
} RulesetPacket;

/* A base chain that does not let a packet through. The strings are the Ruleset's. */
typedef struct RulesetDrop {
    const char *family, *table, *chain; /* "ip", "filter", "FORWARD" */
    const char *rule_chain; /* that has the rule which drops; NULL: it is the base chain's policy */
    bool maybe;             /* a rule before it accepts some packets, and these may be among them */
} RulesetDrop;

/* All that would drop it; GArray of RulesetDrop. */
GArray *ruleset_find_drops(const Ruleset *ruleset, const RulesetPacket *packet);

/* Whether there is such a table, and a chain in it (NULL: any). */
bool ruleset_has(const Ruleset *ruleset, const char *family, const char *table, const char *chain);
