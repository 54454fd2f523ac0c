/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What counters become: rates, JSON, lines that fit; and what a terminal sends. */
#include <math.h>
#include <string.h>

#include "json.h"
#include "live.h"
#include "terminal.h"
#include "top-table.h"

static json_t *reading(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    g_assert_nonnull(value);
    return value;
}

static void assert_number(const UsageRow *row, UsageNumber number, double expected)
{
    g_assert_cmpfloat_with_epsilon(row->numbers[number], expected, 0.001);
}

static void test_rates(void)
{
    g_autoptr(Usage) before = usage_new(reading("{\"a\": {\"time\": 1000000, \"state\": \"running\", \"cpus\": 2, \"cpu\": {\"usage\": 500},"
        " \"disks\": {\"x\": {\"read\": 100}, \"y\": {\"read\": 50}}, \"networks\": {\"n\": {\"sent\": 1000}}, \"process\": {\"memory\": 77}}}"), NULL);
    g_autoptr(Usage) after = usage_new(reading("{\"a\": {\"time\": 3000000, \"state\": \"running\", \"cpus\": 2, \"cpu\": {\"usage\": 3000500},"
        " \"disks\": {\"x\": {\"read\": 1100}, \"y\": {\"read\": 1050}}, \"networks\": {\"n\": {\"sent\": 900}}, \"process\": {\"memory\": 77},"
        " \"memory\": {\"current\": 99}, \"guest\": {\"total\": 100, \"free\": 60}, \"pressure\": {\"io\": 5}},"
        " \"b\": {\"time\": 3000000, \"state\": \"paused\"}}"), before);
    size_t n;
    const UsageRow *rows = usage_rows(before, &n);
    g_assert_cmpuint(n, ==, 1);
    g_assert_true(isnan(rows[0].numbers[USAGE_CPU]));
    assert_number(&rows[0], USAGE_MEMORY, 77);
    g_assert_false(usage_has_rates(before));

    rows = usage_rows(after, &n);
    g_assert_cmpuint(n, ==, 2);
    g_assert_true(usage_has_rates(after));
    assert_number(&rows[0], USAGE_CPU, 150);
    assert_number(&rows[0], USAGE_CPUS, 2);
    assert_number(&rows[0], USAGE_READ, 1000);
    assert_number(&rows[0], USAGE_MEMORY, 99);
    assert_number(&rows[0], USAGE_USED, 40);
    g_assert_true(isnan(rows[0].numbers[USAGE_SENT])); /* it cannot have sent less */
    g_assert_true(isnan(rows[0].numbers[USAGE_STALL_IO]));
    g_assert_true(isnan(rows[1].numbers[USAGE_CPU]));

    g_autoptr(json_t) object = usage_row_to_json(after, &rows[0]);
    g_assert_cmpfloat_with_epsilon(json_real_value(json_object_get(object, "cpu")), 150, 0.001);
    g_assert_cmpint(json_integer_value(json_object_get(object, "memory")), ==, 99);
    g_assert_true(json_is_null(json_object_get(object, "exits")));
    g_assert_true(json_is_null(json_object_get(json_object_get(object, "pressure"), "io")));
    g_assert_cmpint(json_integer_value(json_object_get(json_object_get(json_object_get(object, "statistics"), "cpu"), "usage")), ==, 3000500);
}

/* What a guest says of its memory counts where it can be. */
static void test_lies(void)
{
    static const struct {
        const char *vm;
        double used;
    } guests[] = {
        {"{\"balloon\": {\"current\": 100}, \"guest\": {\"total\": 90, \"available\": 30, \"free\": 10}}", 60},
        {"{\"balloon\": {\"current\": 100}, \"plugged\": {\"current\": 50}, \"guest\": {\"total\": 140, \"free\": 10}}", 130},
        {"{\"balloon\": {\"current\": 100}, \"guest\": {\"total\": 140, \"free\": 10}}", NAN},
        {"{\"balloon\": {\"current\": 100}, \"guest\": {\"total\": 40, \"free\": 50}}", NAN},
        {"{\"balloon\": {\"current\": 100}, \"guest\": {\"free\": 50}}", NAN},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        g_autoptr(json_t) vm = reading(guests[i].vm);
        double used = usage_of_guest(vm);
        g_assert_true(isnan(guests[i].used) ? isnan(used) : used > guests[i].used - 0.5 && used < guests[i].used + 0.5);
    }
}

/* An answer of whatever kind is no more than unknown. */
static void test_nonsense(void)
{
    static const char *const answers[] = {"{}", "[]", "7", "{\"a\": 7}", "{\"a\": {\"cpu\": [], \"disks\": [1], \"time\": \"x\", \"state\": 7}}",
        "{\"a\": {\"disks\": {\"x\": 7}, \"guest\": null}}"};
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(Usage) before = usage_new(reading(answers[i]), NULL), after = usage_new(reading(answers[i]), before);
        size_t n;
        const UsageRow *rows = usage_rows(after, &n);
        for (size_t k = 0; k < n; k++)
            for (UsageNumber j = 0; j < _USAGE_MAX; j++)
                g_assert_true(isnan(rows[k].numbers[j]));
    }
}

static UsageRow row(const char *name, double cpu, double memory)
{
    UsageRow r = {.name = name, .state = "running"};
    for (UsageNumber i = 0; i < _USAGE_MAX; i++)
        r.numbers[i] = NAN;
    r.numbers[USAGE_CPU] = cpu;
    r.numbers[USAGE_MEMORY] = memory;
    return r;
}

static void test_order(void)
{
    UsageRow rows[] = {row("b", 1, 5), row("a", 1, 9), row("c", 50, 1), row("d", NAN, 7)};
    static const struct {
        TopOrder order;
        const char *names;
    } cases[] = {{{'c', false}, "cabd"}, {{'c', true}, "dabc"}, {{'m', false}, "adbc"}, {{'a', false}, "abcd"}, {{'a', true}, "dcba"}, {{'x', false}, "abcd"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        top_sort(rows, G_N_ELEMENTS(rows), cases[i].order);
        for (size_t k = 0; k < G_N_ELEMENTS(rows); k++)
            g_assert_cmpint(*rows[k].name, ==, cases[i].names[k]);
    }
    g_assert_null(top_order_name('z'));
    g_assert_null(top_order_name(0));
}

static void test_widths(void)
{
    UsageRow big = row("a-name-that-is-longer-than-anybody-wants-to-read", 12345.6, 1023.9 * 1024 * 1024);
    for (UsageNumber i = 0; i < _USAGE_MAX; i++)
        big.numbers[i] = i == USAGE_CPU ? 9999.9 : i >= USAGE_STALL_CPU && i <= USAGE_STALL_IO ? 100 : i == USAGE_CPUS ? 4096 : 1023.94 * 1024 * 1024;
    big.numbers[USAGE_READS] = big.numbers[USAGE_WRITES] = big.numbers[USAGE_EXITS] = 9999999;
    for (size_t columns = 1; columns < 300; columns++) {
        g_autoptr(GString) header = g_string_new(NULL), line = g_string_new(NULL), sums = g_string_new(NULL);
        top_append_header(header, columns, strlen(big.name), (TopOrder){.key = 'd'});
        top_append_row(line, columns, strlen(big.name), &big);
        top_append_sums(sums, columns, &big, 1);
        g_assert_cmpuint(terminal_width(header->str), <=, MAX(columns, 8));
        g_assert_cmpuint(terminal_width(line->str), ==, terminal_width(header->str));
        g_assert_cmpuint(terminal_width(sums->str), <=, columns);
    }
    g_autoptr(GString) eighty = g_string_new(NULL), all = g_string_new(NULL);
    top_append_header(eighty, 80, 9, (TopOrder){.key = 'c'});
    top_append_row(all, 0, strlen(big.name), &big);
    for (const char *const *title = (const char *const[]){"%CPU*", "MEMORY", "BALLOON", "READ/s", "WRITE/s", "RECV/s", "SENT/s", "STALL", "EXITS/s", NULL}; *title; title++)
        g_assert_nonnull(strstr(eighty->str, *title));
    g_assert_nonnull(strstr(all->str, big.name));
}

static void test_keys(void)
{
    static const struct {
        const char *text;
        int key;
        size_t used;
    } cases[] = {
        {"q", 'q', 1}, {"qc", 'q', 1}, {"\033[Aq", LIVE_KEY_UP, 3}, {"\033OB", LIVE_KEY_DOWN, 3}, {"\033[6~q", LIVE_KEY_PAGE_DOWN, 4},
        {"\033[1;5Cq", 0, 6}, {"\033", 0, 1}, {"\033[", 0, 2}, {"\303\244", 0303, 1},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t used = 0;
        g_assert_cmpint(live_key(cases[i].text, strlen(cases[i].text), &used), ==, cases[i].key);
        g_assert_cmpuint(used, ==, cases[i].used);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/top/rates", test_rates);
    g_test_add_func("/top/lies", test_lies);
    g_test_add_func("/top/nonsense", test_nonsense);
    g_test_add_func("/top/order", test_order);
    g_test_add_func("/top/widths", test_widths);
    g_test_add_func("/top/keys", test_keys);
    return g_test_run();
}
