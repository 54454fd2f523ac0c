/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quote.h"

#include <stdbool.h>
#include <string.h>

/* Blanks between words are held back until a word follows, so that none stands at the end. */
typedef enum Gap {
    GAP_NONE,
    GAP_BLANK,
    GAP_LINE,
} Gap;

static GString *join_words(const char *text, size_t length)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize) length);
    GString *s = g_string_sized_new(strlen(valid) + 1);
    Gap gap = GAP_NONE;

    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c == '\n' || c == '\r') {
            gap = GAP_LINE;
            continue;
        }
        /* Format characters turn text around or hide it. */
        if (c == ' ' || g_unichar_iscntrl(c) || g_unichar_type(c) == G_UNICODE_FORMAT) {
            gap = MAX(gap, GAP_BLANK);
            continue;
        }
        if (s->len > 0 && gap != GAP_NONE)
            g_string_append(s, gap == GAP_LINE ? "; " : " ");
        gap = GAP_NONE;
        g_string_append_unichar(s, c);
    }
    return s;
}

char *quote_words(const char *text, size_t length, size_t max)
{
    GString *s = join_words(text, length);

    if (s->len > max) {
        const char *end = g_utf8_find_prev_char(s->str, s->str + (max - 3) + 1);

        g_string_truncate(s, end ? (size_t) (end - s->str) : 0);
        g_string_append(s, "...");
    }
    return g_string_free(s, FALSE);
}

char *quote_last_words(const char *text, size_t length, size_t max)
{
    GString *s = join_words(text, length);

    if (s->len > max) {
        const char *start = s->str + s->len - (max - 3);

        while ((*start & 0xc0) == 0x80)
            start++;
        g_string_erase(s, 0, start - s->str);
        g_string_prepend(s, "...");
    }
    return g_string_free(s, FALSE);
}
