/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What vmctl prints: tables, text that must not drive the terminal, times, JSON. */
#include <stdlib.h>
#include <string.h>

#include "addresses.h"
#include "json.h"
#include "kind.h"
#include "table.h"
#include "terminal.h"
#include "timestamp.h"
#include "value.h"
#include "vmctl-harness.h"

static void hostile_text_is_made_harmless(void)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
            {"plain", "plain"},
            {"\x1b[31mred\x1b[0m", "[31mred[0m"},
            {"a\rb\x07\x7f", "ab"},
            {"two\nlines\t", "two\nlines\t"},
            {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
            {"\xc2\x9b"
             "31m",
                    "31m"}, /* CSI in its one-character form */
            {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *clean = terminal_clean(cases[i].from);
        g_assert_cmpstr(clean, ==, cases[i].to);
    }
}

static void long_text_is_cut_by_columns(void)
{
    static const struct {
        const char *text;
        size_t columns;
        const char *expected;
    } cases[] = {
            {"four", 4, "four"},
            {"fives", 4, "fiv…"},
            {"x", 1, "x"},
            {"xy", 1, "…"},
            {"日本語", 6, "日本語"},
            {"日本語", 5, "日本…"},
            {"日本語", 4, "日…"},
            {"anything", 0, "anything"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *cut = terminal_ellipsize(cases[i].text, cases[i].columns);
        g_assert_cmpstr(cut, ==, cases[i].expected);
    }
    g_assert_cmpuint(terminal_width("日本語"), ==, 6);
    g_assert_cmpuint(terminal_width("a\xcc\x81"), ==, 1);
}

static char *print_table(const Client *client)
{
    static const char *const header[] = {"NAME", "STATE", ">LEADER", "NOTE", NULL};
    g_autoptr(Table) table = table_new(header);
    table_add(table, STYLE_NONE, "web");
    table_add(table, STYLE_GOOD, "running");
    table_addf(table, STYLE_NONE, "%d", 4711);
    table_add(table, STYLE_NONE, "evil\n\x1b[2J");
    table_add(table, STYLE_NONE, "a-long-name");
    table_add(table, STYLE_NONE, "off");
    table_add(table, STYLE_NONE, NULL);
    table_add(table, STYLE_NONE, "");
    Capture capture = capture_begin(stdout);
    table_print(table, client, false, "VM", "VMs");
    return capture_end(&capture);
}

static void table_has_columns(void)
{
    Client plain = {}, bare = {.no_legend = true};
    g_autofree char *whole = print_table(&plain), *rows = print_table(&bare);
    g_assert_cmpstr(whole, ==,
            "NAME        STATE   LEADER NOTE\n"
            "web         running   4711 evil [2J\n"
            "a-long-name off          - -\n"
            "\n2 VMs listed.\n");
    g_assert_cmpstr(rows, ==,
            "web         running 4711 evil [2J\n"
            "a-long-name off        - -\n");
}

static void empty_table_says_so(void)
{
    static const char *const header[] = {"NAME", NULL};
    Client plain = {}, bare = {.no_legend = true};
    g_autoptr(Table) table = table_new(header);
    Capture capture = capture_begin(stdout);
    table_print(table, &plain, false, "VM", "VMs");
    g_autofree char *text = capture_end(&capture);
    g_assert_cmpstr(text, ==, "0 VMs listed.\n");
    capture = capture_begin(stdout);
    table_print(table, &bare, false, "VM", "VMs");
    g_autofree char *nothing = capture_end(&capture);
    g_assert_cmpstr(nothing, ==, "");
}

static void times_read_as_systemd_writes_them(void)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {
            {0, "0s ago"},
            {59, "59s ago"},
            {61, "1min 1s ago"},
            {3700, "1h 1min ago"},
            {90000, "1 day 1h ago"},
            {2 * 86400 + 5, "2 days ago"},
            {7 * 86400, "1 week ago"},
            {9 * 86400, "1 week 2 days ago"},
            {61 * 86400, "2 months 1 day ago"},
            {396 * 86400, "1 year 1 month ago"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
                timestamp_format_relative((uint64_t) g_get_real_time() - cases[i].seconds * USEC_PER_SEC);
        g_assert_cmpstr(text, ==, cases[i].text);
    }
    (void) setenv("TZ", "UTC", 1);
    g_autofree char *point = timestamp_format(UINT64_C(1700000000) * USEC_PER_SEC);
    g_assert_cmpstr(point, ==, "Tue 2023-11-14 22:13:20 UTC");
}

static void messages_become_json(void)
{
    sd_bus_message *m = message_new();
    int r = 0;
    g_assert_cmpint(
            sd_bus_message_append(m, "a{sv}(sad)as", 7, "State", "s", "running", "Leader", "u", 4294967295U,
                    "Limit", "t", UINT64_MAX, "Memory", "t", UINT64_C(1) << 40, "On", "b", true, "Words",
                    "as", 2, "a", "b", "Nested", "a{sv}", 1, "x", "n", -5, "end", 1, 0.5, 0),
            >=, 0);
    message_seal(m);
    g_autoptr(json_t) properties = json_from_message(m, &r), tuple = json_from_message(m, &r),
                      none = json_from_message(m, &r);
    g_assert_nonnull(properties);
    char *text = json_dumps(properties, JSON_COMPACT | JSON_SORT_KEYS);
    g_assert_cmpstr(text, ==,
            "{\"Leader\":4294967295,\"Limit\":null,\"Memory\":1099511627776,\"Nested\":{\"x\":-5},\"On\":"
            "true,"
            "\"State\":\"running\",\"Words\":[\"a\",\"b\"]}");
    free(text);
    text = json_dumps(tuple, JSON_COMPACT);
    g_assert_cmpstr(text, ==, "[\"end\",[0.5]]");
    free(text);
    g_assert_cmpuint(json_array_size(none), ==, 0);
    g_assert_null(json_from_message(m, &r));
    g_assert_cmpint(r, <, 0);

    g_assert_cmpstr(json_get_string(properties, "State"), ==, "running");
    g_assert_cmpstr(json_get_string(properties, "Leader"), ==, "");
    g_assert_cmpuint(json_get_number(properties, "Leader"), ==, 4294967295U);
    g_assert_cmpuint(json_get_number(properties, "missing"), ==, 0);
    g_assert_true(json_get_bool(properties, "On"));
    g_assert_cmpstr(json_get_string(NULL, "State"), ==, "");
    sd_bus_message_unref(m);
}

/* Columns of the bus are members for scripts. */
static void addresses_become_objects(void)
{
    sd_bus_message *m = message_new();
    int r = 0;
    g_assert_cmpint(sd_bus_message_append(m, "a(ssss)", 2, "lan", "52:54:00:00:00:01", "192.0.2.7", "lease",
                            "up", "52:54:00:00:00:02", "", ""),
            >=, 0);
    message_seal(m);
    g_autoptr(json_t) property = json_from_message(m, &r), addresses = addresses_to_json(property),
                      none = addresses_to_json(NULL);
    g_assert_cmpuint(json_array_size(addresses), ==, 2);
    const json_t *first = json_array_get(addresses, 0);
    g_assert_cmpstr(json_get_string(first, "interface"), ==, "lan");
    g_assert_cmpstr(json_get_string(first, "mac"), ==, "52:54:00:00:00:01");
    g_assert_cmpstr(json_get_string(first, "address"), ==, "192.0.2.7");
    g_assert_cmpstr(json_get_string(first, "source"), ==, "lease");
    g_assert_cmpstr(json_get_string(json_array_get(addresses, 1), "address"), ==, "");
    g_assert_cmpuint(json_array_size(none), ==, 0);
    sd_bus_message_unref(m);
}

static void objects_are_found_by_kind(void)
{
    static const struct {
        const ObjectKind *kind;
        const char *name, *path;
    } cases[] = {
            {&kind_vm, "web", "/org/vmd1/vm/web"},
            {&kind_network, "web", "/org/vmd1/network/web"},
            {&kind_network, "a-b.c", "/org/vmd1/network/a_2db_2ec"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = kind_object(cases[i].kind, cases[i].name);
        g_assert_cmpstr(path, ==, cases[i].path);
    }
}

int main(int argc, char **argv)
{
    (void) unsetenv("SYSTEMD_COLORS");
    (void) unsetenv("COLUMNS");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmctl/output/hostile-text", hostile_text_is_made_harmless);
    g_test_add_func("/vmctl/output/long-text", long_text_is_cut_by_columns);
    g_test_add_func("/vmctl/output/table", table_has_columns);
    g_test_add_func("/vmctl/output/empty-table", empty_table_says_so);
    g_test_add_func("/vmctl/output/times", times_read_as_systemd_writes_them);
    g_test_add_func("/vmctl/output/json", messages_become_json);
    g_test_add_func("/vmctl/output/addresses", addresses_become_objects);
    g_test_add_func("/vmctl/output/kinds", objects_are_found_by_kind);
    return g_test_run();
}
