/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of leases as dnsmasq writes them, and as one that was taken over might. */
#include "lease.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static GArray *parse(const char *text)
{
    return leases_parse(text, strlen(text));
}

static const Lease *at(const GArray *leases, guint i)
{
    g_assert_cmpuint(i, <, leases->len);
    return &g_array_index(leases, Lease, i);
}

static void expect(const Lease *lease, uint64_t expires, const char *mac, const char *address, const char *name)
{
    g_autofree char *m = mac_to_string(&lease->mac), *a = address_to_string_bare(&lease->address);
    g_assert_true(lease->expires == expires);
    g_assert_cmpstr(m, ==, mac);
    g_assert_cmpstr(a, ==, address);
    g_assert_cmpstr(lease->name, ==, name);
}

/* As dnsmasq 2.90 writes it: of IPv4, the server's own DUID, of IPv6 (DUIDs of types LLT, LL, EN and UUID). */
static void real(void)
{
    static const char file[] =
        "1795273603 52:54:00:00:00:0a 10.71.0.2 web 01:52:54:00:00:00:0a\n"
        "0 52:54:00:00:00:0b 10.71.0.3 db-1 *\n"
        "1795273604 52:54:00:00:00:0c 10.71.0.100 * ff:b5:5e:67:ff:00:02:00:00:ab:11:0a:0b:0c:0d:0e:0f:10:11\n"
        "1795273605 06-aa:bb:cc:dd:ee:ff 10.71.0.101 * *\n" /* not Ethernet */
        "duid 00:01:00:01:2e:b5:c4:3a:52:54:00:aa:bb:cc\n"
        "1795273606 1 fd00:71::1:2 web 00:01:00:01:2e:b5:c4:40:52:54:00:00:00:0a\n"
        "0 T1409286155 fd00:71::1:3 * 00:03:00:01:52:54:00:00:00:0b\n"
        "1795273608 11259375 fd00:71::1:4 * 00:02:00:00:ab:11:0a:0b:0c:0d:0e:0f:10:11\n"
        "1795273609 11259375 fd00:71::1:5 * 00:04:0a:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19\n"
        "1795273610 11259375 fd00:71::1:6 * 00:03:00:06:52:54:00:00:00:0b\n" /* of Ethernet alone */
        "1795273611 11259375 fd00:71::1:7 * 00:03:00:01:ff:ff:ff:ff:ff:ff\n";
    g_autoptr(GArray) leases = parse(file);
    g_assert_cmpuint(leases->len, ==, 9);
    expect(at(leases, 0), 1795273603, "52:54:00:00:00:0a", "10.71.0.2", "web");
    expect(at(leases, 1), 0, "52:54:00:00:00:0b", "10.71.0.3", "db-1");
    expect(at(leases, 2), 1795273604, "52:54:00:00:00:0c", "10.71.0.100", "");
    expect(at(leases, 3), 1795273606, "52:54:00:00:00:0a", "fd00:71::1:2", "web");
    expect(at(leases, 4), 0, "52:54:00:00:00:0b", "fd00:71::1:3", "");
    expect(at(leases, 5), 1795273608, "00:00:00:00:00:00", "fd00:71::1:4", "");
    expect(at(leases, 6), 1795273609, "00:00:00:00:00:00", "fd00:71::1:5", "");
    expect(at(leases, 7), 1795273610, "00:00:00:00:00:00", "fd00:71::1:6", "");
    expect(at(leases, 8), 1795273611, "00:00:00:00:00:00", "fd00:71::1:7", "");
    g_assert_cmpuint(at(leases, 0)->address.prefix, ==, 32);
    g_assert_cmpuint(at(leases, 3)->address.prefix, ==, 128);
}

/* dnsmasq writes in place: whatever part of it is there, no line means what it would not mean whole. */
static void cut(void)
{
    static const char line[] = "1795273603 52:54:00:00:00:0a 10.71.0.23 web 01:52:54:00:00:00:0a\n";
    for (size_t n = 0; n < sizeof line; n++) {
        g_autofree char *part = g_memdup2(line, n ? n : 1); /* whoever reads beyond it is caught */
        g_autoptr(GArray) leases = leases_parse(part, n);
        g_assert_cmpuint(leases->len, ==, n == sizeof line - 1);
    }
}

static void broken(void)
{
    static const char *const bad[] = {"", " ", "duid", "duid \n", "x 52:54:00:00:00:0a 10.71.0.2 web *", "-1 52:54:00:00:00:0a 10.71.0.2 web *", "18446744073709551616 52:54:00:00:00:0a 10.71.0.2 web *",
        "1 52:54:00:00:00:0a 10.71.0.2 web", "1 52:54:00:00:00:0a 10.71.0.2 web * *", "1 52:54:00:00:00:0a 10.71.0.2 web * ", "1  52:54:00:00:00:0a 10.71.0.2 web *",
        " 1 52:54:00:00:00:0a 10.71.0.2 web *", "1\t52:54:00:00:00:0a 10.71.0.2 web *", "1 52:54:00:00:00 10.71.0.2 web *", "1 ff:ff:ff:ff:ff:ff 10.71.0.2 web *", "1 00:00:00:00:00:00 10.71.0.2 web *",
        "1 52:54:00:00:00:0a 10.71.0.2/24 web *", "1 52:54:00:00:00:0a 10.71.0.999 web *", "1 52:54:00:00:00:0a web 10.71.0.2 *", "1 1 fd00::1/64 web 00:03", "1 1 fe80::1%eth0 web 00:03",
        "1 52:54:00:00:00:0a 10.71.0.2 web *\r *"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strconcat(bad[i], "\n2 52:54:00:00:00:0b 10.71.0.3 * *\n", NULL);
        g_autoptr(GArray) leases = parse(text);
        g_test_message("%s", bad[i]);
        g_assert_cmpuint(leases->len, ==, 1); /* the others are still good */
        expect(at(leases, 0), 2, "52:54:00:00:00:0b", "10.71.0.3", "");
    }
    static const char zero[] = "1 52:54:00:00:00:0a 10.71.0.2 w\0b *\n2 52:54:00:00:00:0b 10.71.0.3 * *\n";
    g_autoptr(GArray) leases = leases_parse(zero, sizeof zero - 1);
    g_assert_cmpuint(leases->len, ==, 1);
    expect(at(leases, 0), 2, "52:54:00:00:00:0b", "10.71.0.3", "");
}

/* What is no host's name is none at all. */
static void names(void)
{
    static const char *const bad[] = {"*", "-web", "web-", ".web", "web.", "a..b", "a.-b", "a-.b", "we_b", "web\x1b[31m", "web\x01", "web\x7f", "w\xc3\xa4", "\xff\xfe", "a/b", "../x", "a:b", "a,b", "a;b", "$(x)",
        "\"x\"", "web\r", "a\tb",
        "a123456789b123456789c123456789d123456789e123456789f123456789g123"};
    static const char *const good[] = {"a", "7", "web", "WEB-1", "a.b-c.d", "a--b", "a123456789b123456789c123456789d123456789e123456789f123456789g12"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad) + G_N_ELEMENTS(good); i++) {
        bool is_good = i >= G_N_ELEMENTS(bad);
        const char *name = is_good ? good[i - G_N_ELEMENTS(bad)] : bad[i];
        g_autofree char *text = g_strdup_printf("1 52:54:00:00:00:0a 10.71.0.2 %s *\n", name);
        g_autoptr(GArray) leases = parse(text);
        g_assert_cmpuint(leases->len, ==, 1);
        g_assert_cmpstr(at(leases, 0)->name, ==, is_good ? name : "");
    }
    g_autofree char *endless = g_strnfill(5000, 'a'), *text = g_strdup_printf("1 52:54:00:00:00:0a 10.71.0.2 %s *\n2 52:54:00:00:00:0b 10.71.0.3 b *\n", endless);
    g_autoptr(GArray) leases = parse(text);
    g_assert_cmpuint(leases->len, ==, 1);
    expect(at(leases, 0), 2, "52:54:00:00:00:0b", "10.71.0.3", "b");
    /* The longest that a guest can have dnsmasq write, whose names are vmd's: a client identifier of 255 bytes. */
    g_autoptr(GString) id = g_string_new("ff");
    for (unsigned i = 1; i < 255; i++)
        g_string_append(id, ":ff");
    endless[63] = '\0';
    g_autofree char *longest = g_strdup_printf("18446744073709551615 52:54:00:00:00:0a 100.100.100.100 %s %s\n", endless, id->str);
    g_autoptr(GArray) one = parse(longest);
    g_assert_cmpuint(one->len, ==, 1);
    expect(at(one, 0), UINT64_MAX, "52:54:00:00:00:0a", "100.100.100.100", endless);
}

static GString *many(unsigned n)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < n; i++)
        g_string_append_printf(s, "%u 52:54:00:00:%02x:%02x 10.71.%u.%u g%u *\n", i + 1, i >> 8, i & 255, i >> 8, i & 255, i);
    return s;
}

static void limits(void)
{
    g_autoptr(GString) text = many(10000);
    g_autoptr(GArray) leases = leases_parse(text->str, text->len);
    g_assert_cmpuint(leases->len, ==, LEASES_MAX);
    expect(at(leases, LEASES_MAX - 1), LEASES_MAX, "52:54:00:00:0f:ff", "10.71.15.255", "g4095");

    /* Of a file that is too long, the beginning; its last line may be half a one. */
    g_autoptr(GString) big = g_string_new(NULL);
    while (big->len <= LEASE_FILE_MAX)
        g_string_append(big, "junk\n");
    g_string_append(big, "1 52:54:00:00:00:0a 10.71.0.2 web *\n");
    g_autoptr(GArray) none = leases_parse(big->str, big->len);
    g_assert_cmpuint(none->len, ==, 0);
}

/* What stands in a file's place is not read, and nobody waits for it. */
static void files(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmd-lease-XXXXXX", NULL), *path = g_build_filename(dir, "leases", NULL), *link = g_build_filename(dir, "link", NULL),
                    *fifo = g_build_filename(dir, "fifo", NULL), *missing = g_build_filename(dir, "missing", NULL);
    g_autoptr(GString) text = many(300);
    g_assert_true(g_file_set_contents(path, text->str, (gssize) text->len, NULL));
    g_assert_true(symlink("leases", link) == 0 && mkfifo(fifo, 0600) == 0);
    const char *const not_files[] = {link, fifo, missing, dir, "/dev/zero", "/dev/tty"};
    for (size_t i = 0; i < G_N_ELEMENTS(not_files); i++) {
        g_autoptr(GArray) none = leases_read(not_files[i]);
        g_assert_cmpuint(none->len, ==, 0);
    }
    g_autoptr(GArray) leases = leases_read(path);
    g_assert_cmpuint(leases->len, ==, 300);
    g_assert_true(unlink(path) == 0 && unlink(link) == 0 && unlink(fifo) == 0 && rmdir(dir) == 0);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net-lease/real", real);
    g_test_add_func("/net-lease/cut", cut);
    g_test_add_func("/net-lease/broken", broken);
    g_test_add_func("/net-lease/names", names);
    g_test_add_func("/net-lease/limits", limits);
    g_test_add_func("/net-lease/files", files);
    return g_test_run();
}
