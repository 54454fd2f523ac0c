/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text as strokes on keyboards of several layouts, and names of keys. */
#include "keymap.h"

#include <string.h>

#include "key-name.h"

/* "16 s3 a11": Shift and right Alt by a letter before the key. */
static char *typed(const char *layout, const char *text)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(GArray) strokes = keymap_strokes(layout, text, &error);
    g_autoptr(GString) list = g_string_new(NULL);
    if (error) {
        g_autofree char *message = error_message(error);
        g_error("%s: %s: %s", layout, text, message);
    }
    for (guint i = 0; i < strokes->len; i++) {
        const Stroke *stroke = &g_array_index(strokes, Stroke, i);
        g_string_append_printf(list, "%s%s%s%u", i > 0 ? " " : "", stroke->shift ? "s" : "", stroke->right_alt ? "a" : "", stroke->key);
    }
    return g_string_free(g_steal_pointer(&list), false);
}

static void expect(const char *layout, const char *text, const char *expected)
{
    g_autofree char *list = typed(layout, text);
    g_assert_cmpstr(list, ==, expected);
}

static void french(void)
{
    expect("fr", "amqwz1234567890", "16 39 30 44 17 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11");
    expect("fr", "éèçà", "3 8 10 11");
    expect("fr", "@#{}[]^€", "a11 a4 a5 a13 a6 a12 a10 a18");
    expect("fr", "<>", "86 s86");
    expect("fr", "ê", "26 18");
    expect("fr", "ï", "s26 23");
    expect("fr", "Ü", "s26 s22");
    expect("fr", "¨", "s26 57");
    expect("fr(azerty)", "aé^", "16 3 a10");
}

static void german(void)
{
    expect("de", "zyZ", "21 44 s21");
    expect("de", "ßüÖ@€", "12 26 s39 a16 a18");
    expect("de", "^é`", "41 57 13 18 s13 57");
    expect("de(nodeadkeys)", "^`", "41 s13");
    expect("de", "<>|", "86 s86 a86");
}

static void american(void)
{
    expect("us", "aA1!<> |\\\n\t", "30 s30 2 s2 s51 s52 57 s43 43 28 15");
    expect("us", "one\r\ntwo", "24 49 18 28 20 17 24");
    expect("us", "", "");
    for (char c = ' '; c < 0x7f; c++) {
        const char text[] = {c, '\0'};
        g_autofree char *list = typed("us", text);
        g_assert_null(strchr(list, ' '));
        g_assert_null(strchr(list, 'a'));
        g_assert_false(g_str_has_suffix(list, "86"));
    }
}

/* Some have neither @ nor letters of ours: what they must have is a way to read them, and digits. */
static void others(void)
{
    static const char *const layouts[] = {"gb", "es", "it", "pt", "br", "ch", "ch(fr)", "be", "nl", "dk", "no", "se", "fi", "is", "pl", "cz", "sk", "hu",
        "ro", "hr", "si", "tr", "ca", "latam", "us(intl)", "us(dvorak)", "us(colemak)", "fr(bepo)", "ee", "lv", "lt", "jp", "kr", "ru", "ua", "gr", "il",
        "rs", "bg"};
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
        g_autofree char *list = typed(layouts[i], "1 2\n3");
        g_assert_cmpuint(strlen(list), >, 10);
    }
    expect("us(intl)", "éê", "a18 s7 18");
    expect("us(dvorak)", "dvorak", "35 52 31 24 30 47");
    expect("gr", "αΩ", "30 s47");
    expect("cz", "ěřů", "3 6 39");
}

static void refused(const char *layout, const char *text, ErrorCode code, const char *words)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(GArray) strokes = keymap_strokes(layout, text, &error);
    g_assert_null(strokes);
    g_assert_nonnull(error);
    g_autofree char *message = error_message(error);
    g_assert_cmpint(error->code, ==, code);
    if (!strstr(message, words))
        g_error("\"%s\" does not say \"%s\"", message, words);
}

static void refusals(void)
{
    static const char *const layouts[] = {"", "xx", "fr(nothing)", "../../etc/passwd", "us,ru", "us+fr", "us:2", "us()", "us(", "us(intl", "us(intl)x", "u s",
        "(intl)", "us\n", "é", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "%s", "/us"};
    for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++)
        refused(layouts[i], "a", ERROR_INVALID_SETTINGS, "no keyboard layout");
    refused("us", "snow ☃", ERROR_INVALID_SETTINGS, "\"☃\" (U+2603), its character 6");
    refused("us", "é", ERROR_INVALID_SETTINGS, "its character 1,");
    refused("fr", "ab\ncd\x1b", ERROR_INVALID_SETTINGS, "U+001B, its character 6");
    refused("fr", "a\rb", ERROR_INVALID_SETTINGS, "U+000D, its character 2");
    refused("ru", "a", ERROR_INVALID_SETTINGS, "U+0061");
    refused("us", "\xff", ERROR_INVALID_SETTINGS, "UTF-8");
    g_autofree char *most = g_strnfill(KEYMAP_TEXT_MAX, 'a'), *more = g_strnfill(KEYMAP_TEXT_MAX + 1, 'a'), *list = typed("us", most);
    g_assert_nonnull(list);
    refused("us", more, ERROR_LIMIT_REACHED, "more than 4096");
}

static void names(void)
{
    static const struct {
        const char *name, *qcode;
    } cases[] = {
        {"ctrl", "ctrl"}, {"Ctrl", "ctrl"}, {"alt", "alt"}, {"del", "delete"}, {"delete", "delete"}, {"esc", "esc"}, {"enter", "ret"}, {"win", "meta_l"},
        {"F12", "f12"}, {"a", "a"}, {"A", "a"}, {"KEY_LEFTCTRL", "ctrl"}, {"kp_0", "kp_0"}, {"altgr", "alt_r"}, {"space", "spc"}, {".", "dot"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpstr(key_name_to_qcode(cases[i].name, NULL), ==, cases[i].qcode);
    static const char *const none[] = {"", "unmapped", "ä", "f13", "ctrl ", "key_", "control_"};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        g_autoptr(Error) error = NULL;
        g_assert_null(key_name_to_qcode(none[i], &error));
        g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    }
    g_autoptr(Error) error = NULL;
    g_assert_null(key_name_to_qcode("delte", &error));
    g_assert_nonnull(strstr(error->remedy, "delete"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keymap/french", french);
    g_test_add_func("/keymap/german", german);
    g_test_add_func("/keymap/american", american);
    g_test_add_func("/keymap/others", others);
    g_test_add_func("/keymap/refusals", refusals);
    g_test_add_func("/keymap/names", names);
    return g_test_run();
}
