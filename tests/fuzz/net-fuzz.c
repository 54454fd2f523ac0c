/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Texts of networks: a file of leases, which a dnsmasq that was taken over has written, and each of its lines as a forward, as an
 * address and as a MAC, which anybody may have sent. What is accepted is in its bounds and means the same when it is written and read again. */

#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "firewall.h"
#include "lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text)
{
    Address a, again;
    if (address_parse(text, &a) < 0)
        return;
    g_autofree char *s = address_to_string(&a);
    g_assert_cmpint(address_parse(s, &again), ==, 0);
    g_assert_true(address_equal(&a, &again) && address_contains(&a, &again) && address_overlaps(&a, &again));
    uint64_t index = address_index(&a);
    if (index < UINT64_MAX) {
        g_assert_true(index < address_count(&a) && address_nth(&a, index, &again));
        /* The middle of a large network of IPv6 is beyond what a number says. */
        g_assert_true(address_index(&again) == index && address_contains(&a, &again));
    }
    (void) address_is_host(&a);
}

static void check_mac(const char *text)
{
    struct ether_addr mac, again;
    if (mac_parse(text, &mac) < 0)
        return;
    g_autofree char *s = mac_to_string(&mac);
    g_assert_true(mac_parse(s, &again) == 0 && memcmp(&mac, &again, sizeof mac) == 0 && g_ascii_strcasecmp(s, text) == 0);
}

static void check_forward(const char *text)
{
    FirewallForward f;
    g_autoptr(Error) error = NULL;
    if (!firewall_forward_parse(text, &f, &error)) {
        g_autofree char *message = error_message(error);
        g_assert_true(g_utf8_validate(message, -1, NULL));
        return;
    }
    g_assert_true(f.first > 0 && f.last >= f.first && f.to > 0 && (unsigned) f.to + (f.last - f.first) <= UINT16_MAX);
    g_assert_true(firewall_forward_collides(&f, &f));
    g_autofree char *bare = f.listen.family ? address_to_string_bare(&f.listen) : NULL;
    g_autofree char *listen = !bare ? g_strdup("") : g_strdup_printf(f.listen.family == AF_INET6 ? "[%s]:" : "%s:", bare);
    g_autofree char *again = g_strdup_printf("%s:%s%u-%u:%u", f.udp ? "udp" : "tcp", listen, f.first, f.last, f.to);
    FirewallForward g;
    g_assert_true(firewall_forward_parse(again, &g, NULL));
    g_assert_true(g.udp == f.udp && g.first == f.first && g.last == f.last && g.to == f.to && address_equal(&g.listen, &f.listen));
}

static void check_leases(const char *text, size_t size)
{
    g_autoptr(GArray) leases = leases_parse(text, size);
    g_assert_cmpuint(leases->len, <=, LEASES_MAX);
    for (guint i = 0; i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        g_assert_true(lease->address.prefix == (lease->address.family == AF_INET ? 32 : 128) && memchr(lease->name, '\0', sizeof lease->name));
        for (const char *c = lease->name; *c; c++)
            g_assert_true(g_ascii_isalnum(*c) || *c == '-' || *c == '.');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Not a byte more than there is: leases_parse() does not ask for an end. */
    g_autofree char *exact = g_memdup2(data, size), *text = g_strndup((const char *) data, size);
    check_leases(exact ? exact : "", size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 100);
    for (char **line = lines; *line; line++) {
        check_address(*line);
        check_mac(*line);
        check_forward(*line);
    }
    return 0;
}
