/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "key-name.h"

#include <string.h>

#define LIKE_MAX 5U

static const char *const qcodes[] = {
    "shift", "shift_r", "alt", "alt_r", "ctrl", "ctrl_r", "menu", "esc", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "minus", "equal", "backspace",
    "tab", "q", "w", "e", "r", "t", "y", "u", "i", "o", "p", "bracket_left", "bracket_right", "ret", "a", "s", "d", "f", "g", "h", "j", "k", "l",
    "semicolon", "apostrophe", "grave_accent", "backslash", "z", "x", "c", "v", "b", "n", "m", "comma", "dot", "slash", "asterisk", "spc", "caps_lock",
    "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "num_lock", "scroll_lock", "kp_divide", "kp_multiply", "kp_subtract", "kp_add",
    "kp_enter", "kp_decimal", "sysrq", "kp_0", "kp_1", "kp_2", "kp_3", "kp_4", "kp_5", "kp_6", "kp_7", "kp_8", "kp_9", "less", "f11", "f12", "print",
    "home", "pgup", "pgdn", "end", "left", "up", "down", "right", "insert", "delete", "stop", "again", "props", "undo", "front", "copy", "open", "paste",
    "find", "cut", "lf", "help", "meta_l", "meta_r", "compose", "pause", "ro", "hiragana", "henkan", "yen", "muhenkan", "katakanahiragana", "kp_comma",
    "kp_equals", "power", "sleep", "wake", "audionext", "audioprev", "audiostop", "audioplay", "audiomute", "volumeup", "volumedown", "mediaselect",
    "mail", "calculator", "computer", "ac_home", "ac_back", "ac_forward", "ac_refresh", "ac_bookmarks", "lang1", "lang2",
};

/* What people write, and Linux (virsh) where that is another word. */
static const struct {
    const char *word, *qcode;
} others[] = {
    {"control", "ctrl"}, {"leftctrl", "ctrl"}, {"ctrl_l", "ctrl"}, {"rightctrl", "ctrl_r"}, {"leftshift", "shift"}, {"shift_l", "shift"},
    {"rightshift", "shift_r"}, {"leftalt", "alt"}, {"alt_l", "alt"}, {"option", "alt"}, {"rightalt", "alt_r"}, {"altgr", "alt_r"}, {"win", "meta_l"},
    {"windows", "meta_l"}, {"super", "meta_l"}, {"meta", "meta_l"}, {"cmd", "meta_l"}, {"leftmeta", "meta_l"}, {"rightmeta", "meta_r"},
    {"escape", "esc"}, {"enter", "ret"}, {"return", "ret"}, {"space", "spc"}, {"del", "delete"}, {"ins", "insert"}, {"pageup", "pgup"},
    {"page_up", "pgup"}, {"pagedown", "pgdn"}, {"page_down", "pgdn"}, {"capslock", "caps_lock"}, {"caps", "caps_lock"}, {"numlock", "num_lock"},
    {"scrolllock", "scroll_lock"}, {"printscreen", "print"}, {"print_screen", "print"}, {"prtsc", "print"}, {"prtscr", "print"}, {"break", "pause"},
    {"period", "dot"}, {"grave", "grave_accent"}, {"backtick", "grave_accent"}, {"quote", "apostrophe"}, {"leftbrace", "bracket_left"},
    {"rightbrace", "bracket_right"}, {"102nd", "less"}, {"linefeed", "lf"}, {"kpenter", "kp_enter"}, {"kpplus", "kp_add"}, {"kpminus", "kp_subtract"},
    {"kpasterisk", "kp_multiply"}, {"kpslash", "kp_divide"}, {"kpdot", "kp_decimal"}, {"mute", "audiomute"}, {"playpause", "audioplay"},
    {"nextsong", "audionext"}, {"previoussong", "audioprev"}, {",", "comma"}, {".", "dot"}, {"/", "slash"}, {";", "semicolon"}, {"'", "apostrophe"},
    {"`", "grave_accent"}, {"\\", "backslash"}, {"[", "bracket_left"}, {"]", "bracket_right"}, {"=", "equal"}, {"<", "less"}, {" ", "spc"},
};

static const char *find(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(qcodes); i++)
        if (g_str_equal(qcodes[i], word))
            return qcodes[i];
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (g_str_equal(others[i].word, word))
            return others[i].qcode;
    return NULL;
}

/* "They are like it: delete, del". NULL: none is. */
static char *like(const char *word)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(qcodes) && n < LIKE_MAX && strlen(word) > 1; i++)
        if (strlen(qcodes[i]) > 1 && strncmp(qcodes[i], word, 2) == 0) {
            g_string_append_printf(text, "%s%s", n > 0 ? ", " : "There are ", qcodes[i]);
            n++;
        }
    return n > 0 ? g_string_free(g_steal_pointer(&text), false) : NULL;
}

const char *key_name_known(size_t i)
{
    return i < G_N_ELEMENTS(qcodes) ? qcodes[i] : NULL;
}

const char *key_name_to_qcode(const char *name, Error **ret_error)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);
    const char *word = g_str_has_prefix(lower, "key_") ? lower + strlen("key_") : lower;
    const char *qcode = find(word);
    if (qcode)
        return qcode;
    g_autofree char *remedy = like(word), *shown = g_utf8_substring(name, 0, MIN(g_utf8_strlen(name, -1), 64));
    error_set(ret_error, ERROR_INVALID_SETTINGS, "keys", remedy ?: "Names are such as ctrl, alt, delete, f1 or a; see org.vmd1(5)", "there is no key \"%s\"", shown);
    return NULL;
}
