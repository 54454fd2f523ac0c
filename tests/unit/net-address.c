/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "address.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static Address parse(const char *text)
{
    Address a;
    if (address_parse(text, &a) < 0)
        g_error("%s", text);
    return a;
}

static void reads_what_it_writes(void)
{
    static const struct {
        const char *text, *full, *bare;
    } cases[] = {
        {"192.168.1.1/24", "192.168.1.1/24", "192.168.1.1"}, {"192.168.1.1", "192.168.1.1/32", "192.168.1.1"}, {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0"},
        {"255.255.255.255/32", "255.255.255.255/32", "255.255.255.255"}, {"FD00:0:0::0001/64", "fd00::1/64", "fd00::1"}, {"::", "::/128", "::"},
        {"::/0", "::/0", "::"}, {"::ffff:1.2.3.4", "::ffff:1.2.3.4/128", "::ffff:1.2.3.4"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Address a = parse(cases[i].text), again;
        g_autofree char *full = address_to_string(&a), *bare = address_to_string_bare(&a);
        g_assert_cmpstr(full, ==, cases[i].full);
        g_assert_cmpstr(bare, ==, cases[i].bare);
        again = parse(full);
        g_assert_true(address_equal(&a, &again));
    }
}

static void refuses(void)
{
    static const char *const bad[] = {"", "/", "/24", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+1", "1.2.3.4/024", "1.2.3.4/00", "1.2.3.4/ 8", "1.2.3.4/8 ",
        "1.2.3.4/8/8", "1.2.3.4/4294967304", "1.2.3.4/255.0.0.0", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "0x1.2.3.4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\n", "1..2.3",
        "16909060", "::/129", "fe80::1%eth0", "fe80::1%eth0/64", ":", ":::", "1::2::3", "12345::", "[::1]", "::g", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::1.2.3", "localhost",
        "\xff", "1.2.3.4\xff", "::0000000000000000000000000000000000000000000000000000000001"};
    const Address before = parse("10.0.0.1/8");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        Address a = before;
        g_test_message("%s", bad[i]);
        g_assert_cmpint(address_parse(bad[i], &a), ==, -EINVAL);
        g_assert_true(address_equal(&a, &before)); /* untouched */
    }
    g_autofree char *endless = g_strnfill(100000, '1');
    Address a;
    g_assert_cmpint(address_parse(endless, &a), ==, -EINVAL);
    memcpy(endless, "1.2.3.4/", 8);
    g_assert_cmpint(address_parse(endless, &a), ==, -EINVAL);
}

static void hosts(void)
{
    static const char *const good[] = {"10.0.0.1/24", "10.0.0.254/24", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.0", "10.0.0.255", "10.0.1.0/23", "223.255.255.254/30", "1.0.0.1/0",
        "169.253.0.1/16", "169.255.0.1/16", "fd00::1/64", "fd00::/64", "2001:db8::ffff/128", "fec0::1"};
    static const char *const bad[] = {"10.0.0.0/24", "10.0.0.255/24", "10.0.0.3/30", "0.0.0.0", "0.1.2.3/8", "127.0.0.1", "127.255.255.254/8", "169.254.1.1/16", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1", "ff00::1/8", "fe80::1/64", "febf::1/10", "::ffff:10.0.0.1", "::10.0.0.1"};
    for (size_t i = 0; i < G_N_ELEMENTS(good) + G_N_ELEMENTS(bad); i++) {
        const char *text = i < G_N_ELEMENTS(good) ? good[i] : bad[i - G_N_ELEMENTS(good)];
        const Address a = parse(text);
        g_test_message("%s", text);
        g_assert_true(address_is_host(&a) == (i < G_N_ELEMENTS(good)));
    }
    const Address none = {.family = AF_UNSPEC};
    g_assert_false(address_is_host(&none));
}

static void networks(void)
{
    static const struct {
        const char *a, *b;
        bool contains, overlaps; /* a has b; they have a part in common */
    } cases[] = {
        {"10.1.0.0/16", "10.1.255.255", true, true}, {"10.1.0.0/16", "10.2.0.0", false, false}, {"10.1.2.3/16", "10.1.9.9/24", true, true}, {"10.1.2.0/24", "10.1.0.0/16", false, true},
        {"10.0.0.128/25", "10.0.0.127", false, false}, {"10.0.0.128/25", "10.0.0.255", true, true}, {"10.0.0.4/30", "10.0.0.8", false, false}, {"0.0.0.0/0", "255.255.255.255", true, true},
        {"10.0.0.1", "10.0.0.1", true, true}, {"10.0.0.1", "10.0.0.0", false, false}, {"fd00::/7", "fc00::1", true, true}, {"fd00::/8", "fc00::1", false, false},
        {"fd00:1::/63", "fd00:1:0:1::5", true, true}, {"fd00:1::/63", "fd00:1:0:2::5", false, false}, {"::/0", "ffff::", true, true}, {"::/0", "10.0.0.1", false, false},
        {"0.0.0.0/0", "::", false, false}, {"::ffff:10.0.0.0/104", "10.0.0.1", false, false},
    };
    const Address none = {.family = AF_UNSPEC};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Address a = parse(cases[i].a), b = parse(cases[i].b);
        g_test_message("%s %s", cases[i].a, cases[i].b);
        g_assert_true(address_contains(&a, &b) == cases[i].contains);
        g_assert_true(address_overlaps(&a, &b) == cases[i].overlaps && address_overlaps(&b, &a) == cases[i].overlaps);
        g_assert_true(address_equal(&a, &a) && !address_equal(&a, &none));
        g_assert_false(address_contains(&none, &a) || address_contains(&a, &none) || address_overlaps(&none, &a) || address_overlaps(&a, &none));
    }
    const Address a = parse("10.0.0.1/24"), b = parse("10.0.0.1/25"), c = parse("10.0.0.2/24");
    g_assert_false(address_equal(&a, &b) || address_equal(&a, &c) || address_contains(&none, &none) || address_overlaps(&none, &none));
    g_assert_true(address_equal(&none, &none));
}

static void numbers(void)
{
    static const struct {
        const char *network;
        uint64_t n;
        const char *is; /* NULL: there is no such */
    } cases[] = {
        {"10.0.0.77/24", 0, "10.0.0.0/24"}, {"10.0.0.77/24", 255, "10.0.0.255/24"}, {"10.0.0.77/24", 256, NULL}, {"10.0.0.7/32", 0, "10.0.0.7/32"}, {"10.0.0.7/32", 1, NULL},
        {"10.0.0.7/31", 1, "10.0.0.7/31"}, {"1.2.3.4/0", UINT32_MAX, "255.255.255.255/0"}, {"1.2.3.4/0", UINT64_C(1) << 32, NULL}, {"10.0.0.0/8", 65536, "10.1.0.0/8"},
        {"10.0.0.0/24", UINT64_MAX, NULL}, {"fd00::9/64", 0, "fd00::/64"}, {"fd00::9/64", UINT64_MAX, "fd00::ffff:ffff:ffff:ffff/64"}, {"fd00::9/65", UINT64_C(1) << 63, NULL},
        {"fd00::9/65", (UINT64_C(1) << 63) - 1, "fd00::7fff:ffff:ffff:ffff/65"}, {"fd00::9/128", 0, "fd00::9/128"}, {"fd00::9/128", 1, NULL}, {"fd00::9/112", 65535, "fd00::ffff/112"},
        {"fd00:1:2:3::9/48", UINT64_MAX, "fd00:1:2:0:ffff:ffff:ffff:ffff/48"}, {"ffff::1/0", 5, "::5/0"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Address network = parse(cases[i].network);
        Address a = network;
        g_test_message("%s %" G_GUINT64_FORMAT, cases[i].network, cases[i].n);
        g_assert_true(address_nth(&network, cases[i].n, &a) == (cases[i].is != NULL));
        g_autofree char *text = address_to_string(&a);
        g_assert_cmpstr(text, ==, cases[i].is ? cases[i].is : cases[i].network);
        if (cases[i].is) {
            g_assert_true(address_index(&a) == cases[i].n);
            g_assert_true(address_contains(&network, &a));
        }
    }
    static const struct {
        const char *network;
        uint64_t count;
    } counts[] = {{"1.2.3.4/0", UINT64_C(1) << 32}, {"1.2.3.4/24", 256}, {"1.2.3.4/31", 2}, {"1.2.3.4", 1}, {"::/0", UINT64_MAX}, {"fd00::/64", UINT64_MAX},
        {"fd00::/65", UINT64_C(1) << 63}, {"fd00::/112", 65536}, {"fd00::", 1}};
    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        const Address network = parse(counts[i].network);
        g_assert_true(address_count(&network) == counts[i].count);
    }
    const Address far = parse("fd00:1:2:3::9/48"); /* more than a number can say */
    g_assert_true(address_index(&far) == UINT64_MAX);
}

static void made_up(void)
{
    const Address network = parse("fd00:71::1/64"), longer = parse("fd00:71::/72"), shorter = parse("fd00:71::/56"), four = parse("10.0.0.0/24");
    struct ether_addr mac, other;
    Address a = network;
    g_assert_cmpint(mac_parse("52:54:00:AB:cd:0f", &mac), ==, 0);
    g_assert_true(address_eui64(&network, &mac, &a));
    g_autofree char *text = address_to_string(&a);
    g_assert_cmpstr(text, ==, "fd00:71::5054:ff:feab:cd0f/64");
    g_assert_false(address_eui64(&longer, &mac, &a) || address_eui64(&shorter, &mac, &a) || address_eui64(&four, &mac, &a));

    const Address one = address_ula("one"), same = address_ula("one"), two = address_ula("two"), all = parse("fd00::/8");
    g_assert_true(address_equal(&one, &same) && !address_overlaps(&one, &two) && address_contains(&all, &one) && one.prefix == 64);
    for (size_t i = 6; i < 16; i++)
        g_assert_cmpuint(one.v6.s6_addr[i], ==, 0);

    mac = mac_derive("one");
    other = mac_derive("one");
    g_assert_true(memcmp(&mac, &other, sizeof mac) == 0 && memcmp(&mac, "\x52\x54\x00", 3) == 0);
    other = mac_derive("two");
    g_assert_true(memcmp(&mac, &other, sizeof mac) != 0);
}

static void macs(void)
{
    static const char *const bad[] = {"", "52:54:00:01:02", "52:54:00:01:02:03:04", "52:54:00:01:02:0", "52:54:00:01:02:0g", "52-54-00-01-02-03", "525400010203", "52:54:00:01:02:03 ",
        " 52:54:00:01:02:03", "52:54:00:01:02:-3", "52:54:00:01:02: 3", "5:254:00:01:02:03", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "53:54:00:01:02:03",
        "52:54:00:01:02:\xff\xff", "5x:54:00:01:02:03", "52:54:00:01:02:0x"};
    const struct ether_addr before = mac_derive("");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct ether_addr mac = before;
        g_test_message("%s", bad[i]);
        g_assert_cmpint(mac_parse(bad[i], &mac), ==, -EINVAL);
        g_assert_true(memcmp(&mac, &before, sizeof mac) == 0);
    }
    struct ether_addr mac;
    g_assert_cmpint(mac_parse("FE:dc:BA:98:76:0a", &mac), ==, 0);
    g_autofree char *text = mac_to_string(&mac);
    g_assert_cmpstr(text, ==, "fe:dc:ba:98:76:0a");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net-address/reads-what-it-writes", reads_what_it_writes);
    g_test_add_func("/net-address/refuses", refuses);
    g_test_add_func("/net-address/hosts", hosts);
    g_test_add_func("/net-address/networks", networks);
    g_test_add_func("/net-address/numbers", numbers);
    g_test_add_func("/net-address/made-up", made_up);
    g_test_add_func("/net-address/macs", macs);
    return g_test_run();
}
