/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#define ULA_PREFIX 64U
#define EUI64_PREFIX 64U

static unsigned bits(int family)
{
    return family == AF_INET ? 32U : 128U;
}

static const uint8_t *bytes(const Address *address)
{
    return address->family == AF_INET ? (const uint8_t *) &address->v4 : address->v6.s6_addr;
}

/* Digits of a prefix's length, without a sign or leading zeros. */
static int parse_prefix(const char *s, unsigned max, unsigned *ret)
{
    unsigned n = 0;
    size_t length = strlen(s);
    if (length == 0 || length > 3 || strspn(s, "0123456789") != length || (s[0] == '0' && length > 1))
        return -EINVAL;
    for (; *s; s++)
        n = n * 10 + (unsigned) (*s - '0');
    if (n > max)
        return -EINVAL;
    *ret = n;
    return 0;
}

int address_parse(const char *text, Address *ret)
{
    char bare[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(text, '/');
    size_t length = (size_t) (slash - text);
    if (length >= sizeof bare)
        return -EINVAL;
    memcpy(bare, text, length);
    bare[length] = '\0';

    Address a = {.family = strchr(bare, ':') ? AF_INET6 : AF_INET};
    if (inet_pton(a.family, bare, a.family == AF_INET ? (void *) &a.v4 : (void *) &a.v6) != 1)
        return -EINVAL;
    a.prefix = bits(a.family);
    if (*slash && parse_prefix(slash + 1, a.prefix, &a.prefix) < 0)
        return -EINVAL;
    *ret = a;
    return 0;
}

char *address_to_string_bare(const Address *address)
{
    char text[INET6_ADDRSTRLEN];
    return g_strdup(inet_ntop(address->family, bytes(address), text, sizeof text));
}

char *address_to_string(const Address *address)
{
    g_autofree char *bare = address_to_string_bare(address);
    return g_strdup_printf("%s/%u", bare, address->prefix);
}

static bool is_host_v4(const Address *address)
{
    uint32_t a = ntohl(address->v4.s_addr);
    if (a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 14 || a >> 16 == 0xa9fe)
        return false;
    if (address->prefix > 30) /* of 31 bits both can be a host's (RFC 3021) */
        return true;
    uint32_t host = UINT32_MAX >> address->prefix;
    return (a & host) != 0 && (a & host) != host;
}

bool address_is_host(const Address *address)
{
    if (address->family == AF_INET)
        return is_host_v4(address);
    const struct in6_addr *a = &address->v6;
    return address->family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(a) && !IN6_IS_ADDR_LOOPBACK(a) && !IN6_IS_ADDR_MULTICAST(a) &&
        !IN6_IS_ADDR_LINKLOCAL(a) && !IN6_IS_ADDR_V4MAPPED(a) && !IN6_IS_ADDR_V4COMPAT(a);
}

static bool same_bits(const Address *a, const Address *b, unsigned n)
{
    const uint8_t *x = bytes(a), *y = bytes(b);
    if (memcmp(x, y, n / 8) != 0)
        return false;
    return n % 8 == 0 || ((x[n / 8] ^ y[n / 8]) & (0xff00U >> n % 8) & 0xffU) == 0;
}

bool address_equal(const Address *a, const Address *b)
{
    if (a->family != b->family)
        return false;
    return a->family == AF_UNSPEC || (a->prefix == b->prefix && same_bits(a, b, bits(a->family)));
}

bool address_contains(const Address *network, const Address *address)
{
    return network->family != AF_UNSPEC && network->family == address->family && same_bits(network, address, network->prefix);
}

bool address_overlaps(const Address *a, const Address *b)
{
    return a->family != AF_UNSPEC && a->family == b->family && same_bits(a, b, MIN(a->prefix, b->prefix));
}

/* The last 64 bits; all that a number of a host can change. */
static uint64_t low64(const struct in6_addr *a)
{
    uint64_t v;
    memcpy(&v, a->s6_addr + 8, sizeof v);
    return GUINT64_FROM_BE(v);
}

static void clear_host(Address *address)
{
    uint8_t *b = address->family == AF_INET ? (uint8_t *) &address->v4 : address->v6.s6_addr;
    for (unsigned i = 0; i < bits(address->family) / 8; i++) {
        unsigned kept = address->prefix > i * 8 ? MIN(address->prefix - i * 8, 8U) : 0;
        b[i] &= (uint8_t) (0xff00U >> kept);
    }
}

uint64_t address_count(const Address *network)
{
    unsigned host = bits(network->family) - network->prefix;
    return host >= 64 ? UINT64_MAX : UINT64_C(1) << host;
}

bool address_nth(const Address *network, uint64_t n, Address *ret)
{
    uint64_t count = address_count(network);
    if (n >= count && count != UINT64_MAX)
        return false;
    Address a = *network;
    clear_host(&a);
    if (a.family == AF_INET)
        a.v4.s_addr = htonl(ntohl(a.v4.s_addr) + (uint32_t) n);
    else {
        uint64_t v = GUINT64_TO_BE(low64(&a.v6) | n);
        memcpy(a.v6.s6_addr + 8, &v, sizeof v);
    }
    *ret = a;
    return true;
}

uint64_t address_index(const Address *address)
{
    unsigned host = bits(address->family) - address->prefix;
    if (address->family == AF_INET)
        return ntohl(address->v4.s_addr) & (UINT32_MAX >> address->prefix % 32) & (host == 0 ? 0 : UINT32_MAX);
    uint64_t low = low64(&address->v6);
    if (host < 64)
        return low & ((UINT64_C(1) << host) - 1);
    Address network = *address;
    clear_host(&network);
    return memcmp(network.v6.s6_addr, address->v6.s6_addr, 8) == 0 ? low : UINT64_MAX;
}

bool address_eui64(const Address *network, const struct ether_addr *mac, Address *ret)
{
    if (network->family != AF_INET6 || network->prefix != EUI64_PREFIX)
        return false;
    const uint8_t *m = mac->ether_addr_octet;
    const uint8_t id[8] = {m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
    Address a = *network;
    memcpy(a.v6.s6_addr + 8, id, sizeof id);
    *ret = a;
    return true;
}

static void hash(const char *seed, uint8_t *ret, size_t n)
{
    uint8_t digest[32];
    gsize length = sizeof digest;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *) seed, -1);
    g_checksum_get_digest(sum, digest, &length);
    memcpy(ret, digest, n);
}

Address address_ula(const char *seed)
{
    Address a = {.family = AF_INET6, .prefix = ULA_PREFIX};
    a.v6.s6_addr[0] = 0xfd;
    hash(seed, a.v6.s6_addr + 1, 5);
    return a;
}

int mac_parse(const char *text, struct ether_addr *ret)
{
    struct ether_addr mac = {0};
    unsigned any = 0;
    if (strlen(text) != 3 * ETH_ALEN - 1)
        return -EINVAL;
    for (unsigned i = 0; i < ETH_ALEN; i++, text += 3) {
        int high = g_ascii_xdigit_value(text[0]), low = g_ascii_xdigit_value(text[1]);
        if (high < 0 || low < 0 || text[2] != (i + 1 < ETH_ALEN ? ':' : '\0'))
            return -EINVAL;
        mac.ether_addr_octet[i] = (uint8_t) (high << 4 | low);
        any |= mac.ether_addr_octet[i];
    }
    if (any == 0 || (mac.ether_addr_octet[0] & 1))
        return -EINVAL;
    *ret = mac;
    return 0;
}

char *mac_to_string(const struct ether_addr *mac)
{
    const uint8_t *m = mac->ether_addr_octet;
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

struct ether_addr mac_derive(const char *seed)
{
    struct ether_addr mac = {{0x52, 0x54, 0x00}};
    hash(seed, mac.ether_addr_octet + 3, 3);
    return mac;
}
