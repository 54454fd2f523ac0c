/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keymap.h"

#include <string.h>
#include <xkbcommon/xkbcommon.h>

/* xkb counts from 8 where evdev counts from 0. */
#define XKB_OFFSET 8U
#define NAME_MAX_LENGTH 32U

enum { KEY_TAB = 15, KEY_RETURN = 28, KEY_LEFT_SHIFT = 42, KEY_SPACE = 57, KEY_102ND = 86, KEY_RIGHT_ALT = 100 };

/* The digits' row, the three rows of letters, the space bar: what each PC keyboard has. */
static const struct {
    uint8_t first, last;
} main_block[] = {{2, 13}, {16, 27}, {30, 41}, {43, 53}, {KEY_SPACE, KEY_SPACE}};

/* In the order of what is better. */
static const struct {
    bool shift, right_alt, extra;
} ways[] = {
    {false, false, false}, {true, false, false}, {false, false, true}, {true, false, true},
    {false, true, false},  {false, true, true},  {true, true, false},  {true, true, true},
};

/* What is put over a letter, by its combining character, and the character that it is alone. */
static const struct {
    gunichar mark, alone;
    xkb_keysym_t dead;
} accents[] = {
    {0x300, 0x60, XKB_KEY_dead_grave},        {0x301, 0xb4, XKB_KEY_dead_acute},       {0x302, 0x5e, XKB_KEY_dead_circumflex},
    {0x303, 0x7e, XKB_KEY_dead_tilde},        {0x304, 0xaf, XKB_KEY_dead_macron},      {0x306, 0x2d8, XKB_KEY_dead_breve},
    {0x307, 0x2d9, XKB_KEY_dead_abovedot},    {0x308, 0xa8, XKB_KEY_dead_diaeresis},   {0x309, 0, XKB_KEY_dead_hook},
    {0x30a, 0x2da, XKB_KEY_dead_abovering},   {0x30b, 0x2dd, XKB_KEY_dead_doubleacute}, {0x30c, 0x2c7, XKB_KEY_dead_caron},
    {0x31b, 0, XKB_KEY_dead_horn},            {0x323, 0, XKB_KEY_dead_belowdot},       {0x326, 0, XKB_KEY_dead_belowcomma},
    {0x327, 0xb8, XKB_KEY_dead_cedilla},      {0x328, 0x2db, XKB_KEY_dead_ogonek},
};

typedef struct Keymap {
    struct xkb_context *context;
    struct xkb_keymap *xkb;
    GHashTable *characters; /* gunichar: Stroke */
    GHashTable *dead;       /* keysym: Stroke */
} Keymap;

static void keymap_clear(Keymap *keymap)
{
    g_clear_pointer(&keymap->characters, g_hash_table_unref);
    g_clear_pointer(&keymap->dead, g_hash_table_unref);
    xkb_keymap_unref(keymap->xkb);
    xkb_context_unref(keymap->context);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Keymap, keymap_clear)

/* ---- the layout ---- */

/* It becomes the name of a file. */
static bool take_name(const char **p, char *ret)
{
    size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (n == 0 || n >= NAME_MAX_LENGTH)
        return false;
    memcpy(ret, *p, n);
    ret[n] = '\0';
    *p += n;
    return true;
}

static bool split_layout(const char *text, char *ret_layout, char *ret_variant)
{
    const char *p = text;
    *ret_variant = '\0';
    if (!take_name(&p, ret_layout))
        return false;
    if (*p == '(')
        return *++p && take_name(&p, ret_variant) && strcmp(p, ")") == 0;
    return *p == '\0';
}

static void be_silent(struct xkb_context *context, enum xkb_log_level level, const char *format, va_list arguments)
{
}

static bool no_layout(const char *name, Error **ret_error)
{
    g_autofree char *shown = g_utf8_substring(name, 0, MIN(g_utf8_strlen(name, -1), 64));
    return error_set(ret_error, ERROR_INVALID_SETTINGS, "layout", "They are those of xkeyboard-config(7), such as us, fr or de(nodeadkeys)",
        "there is no keyboard layout \"%s\"", shown);
}

static bool load(Keymap *keymap, const char *name, Error **ret_error)
{
    char layout[NAME_MAX_LENGTH], variant[NAME_MAX_LENGTH];
    if (!split_layout(name, layout, variant))
        return no_layout(name, ret_error);
    keymap->context = xkb_context_new(XKB_CONTEXT_NO_ENVIRONMENT_NAMES);
    if (!keymap->context)
        return error_set(ret_error, ERROR_UNSUPPORTED, "layout", "Install xkb-data (xkeyboard-config)", "the keyboard layouts are not installed");
    xkb_context_set_log_fn(keymap->context, be_silent);
    const struct xkb_rule_names names = {.rules = "evdev", .model = "pc105", .layout = layout, .variant = variant, .options = ""};
    keymap->xkb = xkb_keymap_new_from_names(keymap->context, &names, XKB_KEYMAP_COMPILE_NO_FLAGS);
    return keymap->xkb || no_layout(name, ret_error);
}

/* ---- what its keys give ---- */

static void note(GHashTable *table, uint32_t what, Stroke stroke)
{
    if (!g_hash_table_contains(table, GUINT_TO_POINTER(what)))
        g_hash_table_insert(table, GUINT_TO_POINTER(what), g_memdup2(&stroke, sizeof stroke));
}

static void press(Keymap *keymap, struct xkb_state *state, Stroke stroke)
{
    xkb_keysym_t symbol = xkb_state_key_get_one_sym(state, stroke.key + XKB_OFFSET);
    uint32_t character = xkb_keysym_to_utf32(symbol);
    for (size_t i = 0; i < G_N_ELEMENTS(accents); i++)
        if (symbol == accents[i].dead)
            note(keymap->dead, symbol, stroke);
    if (g_unichar_validate(character) && character >= ' ' && character != 0x7f)
        note(keymap->characters, character, stroke);
}

static bool press_all(Keymap *keymap)
{
    keymap->characters = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    keymap->dead = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        struct xkb_state *state = xkb_state_new(keymap->xkb);
        Stroke stroke = {.key = KEY_102ND, .shift = ways[i].shift, .right_alt = ways[i].right_alt};
        if (!state)
            return false;
        if (stroke.shift)
            (void) xkb_state_update_key(state, KEY_LEFT_SHIFT + XKB_OFFSET, XKB_KEY_DOWN);
        if (stroke.right_alt)
            (void) xkb_state_update_key(state, KEY_RIGHT_ALT + XKB_OFFSET, XKB_KEY_DOWN);
        if (ways[i].extra)
            press(keymap, state, stroke);
        for (size_t j = 0; !ways[i].extra && j < G_N_ELEMENTS(main_block); j++)
            for (stroke.key = main_block[j].first; stroke.key <= main_block[j].last; stroke.key++)
                press(keymap, state, stroke);
        xkb_state_unref(state);
    }
    return true;
}

/* ---- the text ---- */

/* A dead key and then a letter, or the space bar for the accent alone. */
static bool compose(const Keymap *keymap, gunichar character, GArray *strokes)
{
    gunichar base = ' ', mark = 0;
    bool decomposed = g_unichar_decompose(character, &base, &mark);
    for (size_t i = 0; i < G_N_ELEMENTS(accents); i++) {
        if (decomposed ? accents[i].mark != mark : accents[i].alone != character)
            continue;
        const Stroke *dead = g_hash_table_lookup(keymap->dead, GUINT_TO_POINTER(accents[i].dead));
        const Stroke *then = g_hash_table_lookup(keymap->characters, GUINT_TO_POINTER(decomposed ? base : ' '));
        if (!dead || !then)
            return false;
        g_array_append_vals(strokes, dead, 1);
        g_array_append_vals(strokes, then, 1);
        return true;
    }
    return false;
}

static bool append(const Keymap *keymap, gunichar character, GArray *strokes)
{
    const Stroke fixed = {.key = character == '\n' ? KEY_RETURN : KEY_TAB};
    const Stroke *stroke = character == '\n' || character == '\t' ? &fixed : g_hash_table_lookup(keymap->characters, GUINT_TO_POINTER(character));
    if (!stroke)
        return compose(keymap, character, strokes);
    g_array_append_vals(strokes, stroke, 1);
    return true;
}

static bool cannot(const char *layout, gunichar character, glong place, Error **ret_error)
{
    char utf8[7] = "";
    (void) g_unichar_to_utf8(character, utf8);
    g_autofree char *shown = g_unichar_isgraph(character) ? g_strdup_printf("\"%s\" (U+%04X)", utf8, character) : g_strdup_printf("U+%04X", character);
    return error_set(ret_error, ERROR_INVALID_SETTINGS, "text", "Nothing was typed", "%s, its character %ld, cannot be typed with the layout \"%s\"", shown,
        place, layout);
}

GArray *keymap_strokes(const char *layout, const char *text, Error **ret_error)
{
    g_auto(Keymap) keymap = {};
    g_autoptr(GArray) strokes = g_array_new(false, false, sizeof(Stroke));
    glong place = 0;
    if (!g_utf8_validate(text, -1, NULL)) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, "text", NULL, "it is no UTF-8");
        return NULL;
    }
    if (g_utf8_strlen(text, -1) > (glong) KEYMAP_TEXT_MAX) {
        error_set(ret_error, ERROR_LIMIT_REACHED, "text", "Type it in parts", "it has more than %u characters", KEYMAP_TEXT_MAX);
        return NULL;
    }
    if (!load(&keymap, layout, ret_error))
        return NULL;
    if (!press_all(&keymap)) {
        error_set(ret_error, ERROR_FAILED, "layout", NULL, "\"%s\" cannot be used", layout);
        return NULL;
    }
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        place++;
        if (p[0] == '\r' && p[1] == '\n')
            continue;
        if (!append(&keymap, g_utf8_get_char(p), strokes)) {
            cannot(layout, g_utf8_get_char(p), place, ret_error);
            return NULL;
        }
    }
    return g_steal_pointer(&strokes);
}
