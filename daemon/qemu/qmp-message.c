/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp-message.h"

#include <stdint.h>
#include <string.h>

#include "quote.h"

#define EXCERPT_MAX 80U
#define WORDS_MAX 1024U

/* What jansson allocates, roundly, for each object, array, member and element. */
enum {
    COST_OBJECT = 256,
    COST_ARRAY = 128,
    COST_MEMBER = 128,
    COST_ELEMENT = 64,
    COST_BYTE = 2,
};

/* The end of the string that starts at the quote `p`: behind its closing quote, or `end`. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

static size_t tree_cost(const char *line, size_t length)
{
    const char *end = line + length;
    size_t cost = length * COST_BYTE;

    for (const char *p = line; p < end; p++) {
        switch (*p) {
        case '"':
            p = skip_string(p, end) - 1;
            break;
        case '{':
            cost += COST_OBJECT;
            break;
        case '[':
            cost += COST_ARRAY;
            break;
        case ':':
            cost += COST_MEMBER;
            break;
        case ',':
            cost += COST_ELEMENT;
            break;
        }
    }
    return cost;
}

/* Whether the digits at `p` are an integer in (INT64_MAX, UINT64_MAX]; *ret_end is behind them in every case.
 */
static bool is_big_integer(const char *p, const char *end, uint64_t *ret, const char **ret_end)
{
    uint64_t value = 0;
    bool fits = true;

    for (; p < end && g_ascii_isdigit(*p); p++)
        if (__builtin_mul_overflow(value, 10U, &value) ||
                __builtin_add_overflow(value, (uint64_t) (*p - '0'), &value))
            fits = false;
    *ret_end = p;
    if (!fits || value <= INT64_MAX || (p < end && (*p == '.' || *p == 'e' || *p == 'E')))
        return false;
    *ret = value;
    return true;
}

static GString *wrap_big_integers(const char *line, size_t length)
{
    GString *s = g_string_sized_new(length + 64);
    const char *end = line + length, *next;
    bool in_number = false; /* behind a sign, a point or an exponent: not the start of an integer */

    for (const char *p = line; p < end; p = next) {
        uint64_t value;

        if (*p == '"') {
            next = skip_string(p, end);
            in_number = false;
        } else if (g_ascii_isdigit(*p)) {
            bool big = is_big_integer(p, end, &value, &next);

            if (big && !in_number) {
                g_string_append_printf(s, "%" G_GINT64_FORMAT, (int64_t) value);
                continue;
            }
            in_number = true;
        } else {
            in_number = strchr("+-.eE", *p) != NULL;
            next = p + 1;
        }
        g_string_append_len(s, p, next - p);
    }
    return s;
}

json_t *qmp_message_parse(const char *line, size_t length, Error **ret_error)
{
    g_autoptr(QmpMessage) message = NULL;
    json_error_t error;

    if (tree_cost(line, length) > QMP_TREE_MAX) {
        error_set(ret_error, ERROR_QEMU_FAILED, "QMP", NULL, "a line would take more than %u MiB of memory",
                QMP_TREE_MAX >> 20);
        return NULL;
    }

    message = json_loadb(line, length, 0, &error);
    if (!message && json_error_code(&error) == json_error_numeric_overflow) {
        GString *wrapped = wrap_big_integers(line, length);

        message = json_loadb(wrapped->str, wrapped->len, 0, &error);
        g_string_free(wrapped, TRUE);
    }
    if (!json_is_object(message)) {
        g_autofree char *excerpt = quote_words(line, MIN(length, 4 * EXCERPT_MAX), EXCERPT_MAX);

        error_set(ret_error, ERROR_QEMU_FAILED, "QMP", NULL, "a line is no JSON object: \"%s\"", excerpt);
        return NULL;
    }
    return g_steal_pointer(&message);
}

char *qmp_message_error_words(const json_t *error)
{
    const char *words = json_string_value(json_object_get(error, "desc"));

    return quote_words(words ?: "", words ? strlen(words) : 0, WORDS_MAX);
}
