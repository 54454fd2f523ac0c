/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "cpu-list.h"
#include "value.h"

static void booleans(void)
{
    static const char *const yes[] = {"yes", "true", "on", "1", "y", "t", "YES", "True"};
    static const char *const no[] = {"no", "false", "off", "0", "n", "f", "No"};
    static const char *const bad[] = {"", " yes", "yes ", "2", "01", "yess", "ja", "-1"};
    bool b;

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        b = false;
        g_assert_cmpint(parse_boolean(yes[i], &b), ==, 0);
        g_assert_true(b);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(no); i++) {
        b = true;
        g_assert_cmpint(parse_boolean(no[i], &b), ==, 0);
        g_assert_false(b);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        b = true;
        g_assert_cmpint(parse_boolean(bad[i], &b), ==, -EINVAL);
        g_assert_true(b);
    }
}

typedef struct Case {
    const char *text;
    int r;
    uint64_t value;
} Case;

static void check_cases(const Case *cases, size_t n, int (*parse)(const char *, uint64_t *))
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = 42;
        int r = parse(cases[i].text, &v);

        if (r != cases[i].r || v != (r == 0 ? cases[i].value : 42))
            g_error("\"%s\": got %d, %" G_GUINT64_FORMAT, cases[i].text, r, v);
    }
}

static void numbers(void)
{
    static const Case cases[] = {
            {"0", 0, 0},
            {"18446744073709551615", 0, UINT64_MAX},
            {"007", 0, 7},
            {"18446744073709551616", -ERANGE},
            {"99999999999999999999999999", -ERANGE},
            {"99999999999999999999999999x", -EINVAL},
            {"", -EINVAL},
            {"-1", -EINVAL},
            {"+1", -EINVAL},
            {" 1", -EINVAL},
            {"1 ", -EINVAL},
            {"0x10", -EINVAL},
            {"1.5", -EINVAL},
    };

    check_cases(cases, G_N_ELEMENTS(cases), parse_uint64);
}

static void sizes(void)
{
    static const Case cases[] = {
            {"4096", 0, 4096},
            {"1K", 0, 1024},
            {"512M", 0, UINT64_C(512) << 20},
            {"2G", 0, UINT64_C(2) << 30},
            {"2 G", 0, UINT64_C(2) << 30},
            {" 2G ", 0, UINT64_C(2) << 30},
            {"1.5G", 0, UINT64_C(3) << 29},
            {"0.1K", 0, 102},
            {"1T", 0, UINT64_C(1) << 40},
            {"15E", 0, UINT64_C(15) << 60},
            {"15.999999999999999999999999999999999E", 0, UINT64_MAX},
            {"7B", 0, 7},
            {"16E", -ERANGE},
            {"18446744073709551616", -ERANGE},
            {"99999999999999999999T", -ERANGE},
            {"", -EINVAL},
            {"G", -EINVAL},
            {"2g", -EINVAL},
            {"2GB", -EINVAL},
            {"2GiB", -EINVAL},
            {"-2G", -EINVAL},
            {"1.G", -EINVAL},
            {".5G", -EINVAL},
            {"1.5", -EINVAL},
            {"1,5G", -EINVAL},
            {"2G 1M", -EINVAL},
            {"infinity", -EINVAL},
    };
    static const Case thousands[] = {
            {"5M", 0, 5000000}, {"1.5K", 0, 1500}, {"1000", 0, 1000}, {"19E", -ERANGE}};

    check_cases(cases, G_N_ELEMENTS(cases), parse_size);
    check_cases(thousands, G_N_ELEMENTS(thousands), parse_size_1000);
}

static void durations(void)
{
    static const Case cases[] = {
            {"90s", 0, 90 * USEC_PER_SEC},
            {"90", 0, 90 * USEC_PER_SEC},
            {"5min 20s", 0, 320 * USEC_PER_SEC},
            {"5min20s", 0, 320 * USEC_PER_SEC},
            {"5m", 0, 300 * USEC_PER_SEC},
            {"1h", 0, 3600 * USEC_PER_SEC},
            {"1 hour 1 minute", 0, 3660 * USEC_PER_SEC},
            {"250ms", 0, 250000},
            {"1.5s", 0, 1500000},
            {"10us", 0, 10},
            {"10µs", 0, 10},
            {"0", 0, 0},
            {"2d", 0, 172800 * USEC_PER_SEC},
            {"1w", 0, 604800 * USEC_PER_SEC},
            {"1M", 0, 2629800 * USEC_PER_SEC},
            {"1y", 0, 31557600 * USEC_PER_SEC},
            {"infinity", 0, USEC_INFINITY},
            {"18446744073709551615us", -ERANGE}, /* that would be "infinity" */
            {"18446744073709551614us", 0, UINT64_MAX - 1},
            {"18446744073709551614us 1us", -ERANGE},
            {"600000y", -ERANGE},
            {"", -EINVAL},
            {"s", -EINVAL},
            {"5x", -EINVAL},
            {"5secs", -EINVAL},
            {"-5s", -EINVAL},
            {"infinity 1s", -EINVAL},
            {"1s infinity", -EINVAL},
            {"1.s", -EINVAL},
    };

    check_cases(cases, G_N_ELEMENTS(cases), parse_duration);
}

static void words(void)
{
    static const char *const list[] = {"-device", "foo bar", "", "it's", "\"q\"", "$HOME", "a\\b", "#x",
            "a,b=c:/d", "ü", "tab\there", NULL};
    static const char *const bad[] = {"'open", "\"open", "back\\"};
    g_autofree char *text = NULL;
    g_auto(GStrv) back = NULL, plain = NULL, none = NULL;

    text = format_words(list);
    g_assert_cmpint(parse_words(text, &back), ==, 0);
    g_assert_true(g_strv_equal(list, (const char *const *) back));

    g_assert_cmpint(parse_words("a 'b c'  \"d\\\"e\" f\\ g # rest", &plain), ==, 0);
    g_assert_cmpuint(g_strv_length(plain), ==, 4);
    g_assert_cmpstr(plain[1], ==, "b c");
    g_assert_cmpstr(plain[2], ==, "d\"e");
    g_assert_cmpstr(plain[3], ==, "f g");

    g_assert_cmpint(parse_words("  ", &none), ==, 0);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        char **untouched = NULL;

        g_assert_cmpint(parse_words(bad[i], &untouched), ==, -EINVAL);
        g_assert_null(untouched);
    }
}

static void formats(void)
{
    static const struct {
        uint64_t bytes;
        const char *exact, *human;
    } cases[] = {
            {0, "0", "0B"},
            {1, "1", "1B"},
            {1023, "1023", "1023B"},
            {1024, "1K", "1K"},
            {1536, "1536", "1.5K"},
            {UINT64_C(2) << 30, "2G", "2G"},
            {UINT64_C(3) << 29, "1536M", "1.5G"},
            {(UINT64_C(2) << 30) + 1, "2147483649", "2G"},
            {UINT64_C(1) << 63, "8E", "8E"},
            {UINT64_MAX, "18446744073709551615", "15.9E"},
    };
    g_autofree char *duration = format_duration(90 * USEC_PER_SEC), *forever = format_duration(USEC_INFINITY);

    g_assert_cmpstr(duration, ==, "1min 30s");
    g_assert_cmpstr(forever, ==, "infinity");
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *exact = format_size(cases[i].bytes), *human = format_size_human(cases[i].bytes);

        g_assert_cmpstr(exact, ==, cases[i].exact);
        g_assert_cmpstr(human, ==, cases[i].human);
    }
}

/* Whatever a formatter says, its parser reads back. */
static void round_trips(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    for (unsigned i = 0; i < 20000; i++) {
        uint64_t v = ((uint64_t) g_rand_int(rand) << 32 | g_rand_int(rand)) >> g_rand_int_range(rand, 0, 64),
                 back;
        g_autofree char *size = NULL, *duration = NULL;

        v &= ~UINT64_C(0) << g_rand_int_range(rand, 0, 64);
        size = format_size(v);
        duration = format_duration(v);
        g_assert_cmpint(parse_size(size, &back), ==, 0);
        g_assert_cmpuint(back, ==, v);
        g_assert_cmpint(parse_duration(duration, &back), ==, 0);
        g_assert_cmpuint(back, ==, v);
    }
}

static void cpu_lists(void)
{
    static const struct {
        const char *text, *shown;
        unsigned n;
    } good[] = {
            {"", "", 0}, {"0-3,8\n", "0-3,8", 5}, {"8 0-1,2,1", "0-2,8", 4}, {" 8191 ", "8191", 1}, {"0-8191", "0-8191", 8192},
    };
    static const char *const bad[] = {"a", "3-1", "-1", "1-", "1-2-3", "0x1", "8192", "0-8192"};
    CpuList list, other;

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *shown = NULL;
        g_assert_cmpint(cpu_list_parse(good[i].text, &list), ==, 0);
        shown = cpu_list_format(&list);
        g_assert_cmpstr(shown, ==, good[i].shown);
        g_assert_cmpuint(cpu_list_count(&list), ==, good[i].n);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(cpu_list_parse("5", &list), ==, 0);
        g_assert_cmpint(cpu_list_parse(bad[i], &list), <, 0);
        g_assert_true(cpu_list_has(&list, 5) && cpu_list_count(&list) == 1);
    }
    g_assert_cmpint(cpu_list_parse("4-6", &other), ==, 0);
    g_assert_cmpint(cpu_list_find_missing(&list, &other), ==, -1);
    g_assert_cmpint(cpu_list_find_missing(&other, &list), ==, 4);
    g_assert_cmpint(cpu_list_next(&other, 6), ==, 6);
    g_assert_cmpint(cpu_list_next(&other, 7), ==, -1);
    g_assert_false(cpu_list_has(&other, 8192));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/booleans", booleans);
    g_test_add_func("/value/numbers", numbers);
    g_test_add_func("/value/sizes", sizes);
    g_test_add_func("/value/durations", durations);
    g_test_add_func("/value/words", words);
    g_test_add_func("/value/cpu-lists", cpu_lists);
    g_test_add_func("/value/formats", formats);
    g_test_add_func("/value/round-trips", round_trips);
    return g_test_run();
}
