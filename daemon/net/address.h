/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Address: an IPv4 or IPv6 address with the length of its prefix, and a MAC; as text, and what one can ask of them.
 *
 * Values without an owner. Knows no links and no files. */

#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Address {
    int family; /* AF_INET, AF_INET6 */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    };
    unsigned prefix; /* bits; of a bare address all of them */
} Address;

/* "192.168.1.1/24", "fd00::1/64", or without the prefix. -EINVAL when it is neither: no scope, no leading zeros, no blanks. */
int address_parse(const char *text, Address *ret);

/* With "/PREFIX"; the bare address. Both new strings. */
char *address_to_string(const Address *address);
char *address_to_string_bare(const Address *address);

/* Whether it can be a host's own in its network: unicast, not loopback, not link-local, and of IPv4 neither the network's nor
 * the broadcast address. */
bool address_is_host(const Address *address);

bool address_equal(const Address *a, const Address *b); /* prefixes too */
bool address_contains(const Address *network, const Address *address); /* the network of `network`; different families: no */
bool address_overlaps(const Address *a, const Address *b); /* their networks */

/* The n-th address of its network, 0 the network's own; false when the network has no such. The prefix stays. */
bool address_nth(const Address *network, uint64_t n, Address *ret);
/* How many addresses its network has, at most UINT64_MAX; and which of them this is. */
uint64_t address_count(const Address *network);
uint64_t address_index(const Address *address);

/* What a host with this MAC takes by itself in an IPv6 network of 64 bits (RFC 4291, modified EUI-64). False for others. */
bool address_eui64(const Address *network, const struct ether_addr *mac, Address *ret);

/* An IPv6 network of 64 bits that nobody else has (RFC 4193): fd, 40 bits of `seed` hashed, a zero subnet. */
Address address_ula(const char *seed);

/* "52:54:00:01:02:03", either case. -EINVAL for others, a multicast or a null address. */
int mac_parse(const char *text, struct ether_addr *ret);
char *mac_to_string(const struct ether_addr *mac); /* lower case; a new string */

/* 52:54:00 and three bytes of the hash of `seed`. */
struct ether_addr mac_derive(const char *seed);
