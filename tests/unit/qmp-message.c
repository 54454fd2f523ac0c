/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line of QMP by itself, and words of QEMU's that are shown. */

#include "qmp-message.h"

#include <string.h>

#include "qmp.h"
#include "quote.h"

static void test_big_integers(void)
{
    static const char line[] =
            "{\"a\": 18446744073709551615, \"b\": [9223372036854775808, 9223372036854775807, -1, "
            "-9223372036854775808], \"18446744073709551615\": \"18446744073709551615 \\\" "
            "18446744073709551615\", "
            "\"c\": 18446744073709551615.5, \"d\": 12345678901234567890e2}";
    g_autoptr(QmpMessage) message = qmp_message_parse(line, strlen(line), NULL);
    const json_t *b = json_object_get(message, "b");

    g_assert_nonnull(message);
    g_assert_true((uint64_t) json_integer_value(json_object_get(message, "a")) == UINT64_MAX);
    g_assert_true((uint64_t) json_integer_value(json_array_get(b, 0)) == UINT64_C(1) << 63);
    g_assert_true(json_integer_value(json_array_get(b, 1)) == INT64_MAX);
    g_assert_true(json_integer_value(json_array_get(b, 2)) == -1);
    g_assert_true(json_integer_value(json_array_get(b, 3)) == INT64_MIN);
    g_assert_cmpstr(json_string_value(json_object_get(message, "18446744073709551615")), ==,
            "18446744073709551615 \" 18446744073709551615");
    g_assert_cmpfloat(json_real_value(json_object_get(message, "c")), >, 1.8e19);
    g_assert_cmpfloat(json_real_value(json_object_get(message, "d")), >, 1.2e21);

    for (const char *const *bad =
                    (const char *const[]){"{\"a\": 18446744073709551616}", "{\"a\": -9223372036854775809}",
                            "{\"a\": 99999999999999999999999}", "{\"a\": 1e18446744073709551615}", NULL};
            *bad; bad++)
        g_assert_null(qmp_message_parse(*bad, strlen(*bad), NULL));
}

/* What would take a hundred times its length is refused before it is built. */
static void test_costly_lines(void)
{
    static const char *const parts[] = {"{},", "[],", "0,", "{\"a\":1},"};

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        GString *line = g_string_new("{\"event\":[");
        g_autoptr(Error) error = NULL;

        while (line->len < QMP_LINE_MAX - 20)
            g_string_append(line, parts[i]);
        g_string_append(line, "0]}");
        g_assert_null(qmp_message_parse(line->str, line->len, &error));
        g_assert_nonnull(strstr(error->cause, "would take more than 32 MiB"));
        g_string_free(line, TRUE);
    }
    for (const char *const *deep = (const char *const[]){"[", "{\"a\":", NULL}; *deep; deep++) {
        GString *line = g_string_new("{\"event\":");

        for (int i = 0; i < 20000; i++)
            g_string_append(line, *deep);
        g_assert_null(qmp_message_parse(line->str, line->len, NULL));
        g_string_free(line, TRUE);
    }
}

static void test_quote(void)
{
    static const struct {
        const char *text;
        size_t max;
        const char *words, *last;
    } cases[] = {
            {"", 10, "", ""},
            {"\n \t\r\n", 10, "", ""},
            {"plain", 5, "plain", "plain"},
            {"plainer", 6, "pla...", "...ner"},
            {" a\n\n b \033 c\n", 20, "a; b c", "a; b c"},
            {"\303\244\303\244\303\244\303\244", 8, "\303\244\303\244\303\244\303\244",
                    "\303\244\303\244\303\244\303\244"},
            {"\303\244\303\244\303\244\303\244", 7, "\303\244\303\244...", "...\303\244\303\244"},
            {"\303\244\303\244\303\244\303\244", 6, "\303\244...", "...\303\244"},
            {"a\377b", 10, "a\357\277\275b", "a\357\277\275b"},
            {"abcdef", 4, "a...", "...f"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *words = quote_words(cases[i].text, strlen(cases[i].text), cases[i].max);
        g_autofree char *last = quote_last_words(cases[i].text, strlen(cases[i].text), cases[i].max);

        g_assert_cmpstr(words, ==, cases[i].words);
        g_assert_cmpstr(last, ==, cases[i].last);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp-message/big-integers", test_big_integers);
    g_test_add_func("/qmp-message/costly-lines", test_costly_lines);
    g_test_add_func("/qmp-message/quote", test_quote);
    return g_test_run();
}
