/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qmp-line.h"

#include <stdbool.h>
#include <string.h>

typedef struct Text {
    const char *p;
    const char *end;
} Text;

static const struct {
    const char *event;
    QmpLineType type;
} events[] = {
        {"SHUTDOWN", QMP_LINE_SHUTDOWN},
        {"RESET", QMP_LINE_RESET},
        {"GUEST_PANICKED", QMP_LINE_PANICKED},
};

static bool text_is(const Text *text, const char *word)
{
    size_t n = strlen(word);

    return (size_t) (text->end - text->p) == n && memcmp(text->p, word, n) == 0;
}

static void skip_space(Text *text)
{
    while (text->p < text->end && strchr(" \t\r\n", *text->p) && *text->p)
        text->p++;
}

static bool take(Text *text, char c)
{
    skip_space(text);
    if (text->p == text->end || *text->p != c)
        return false;
    text->p++;
    return true;
}

/* Takes a string; *ret is what stands between the quotes, its escapes as they are. */
static bool take_string(Text *text, Text *ret)
{
    const char *start;

    if (!take(text, '"'))
        return false;
    for (start = text->p; text->p < text->end && *text->p != '"'; text->p++) {
        if (*text->p == '\\' && ++text->p == text->end)
            return false;
    }
    if (text->p == text->end)
        return false;
    *ret = (Text){start, text->p++};
    return true;
}

/* Takes a value of any kind, without a look at whether its inside is right; *ret is all of it. */
static bool take_value(Text *text, Text *ret)
{
    const char *start;
    size_t depth = 0;
    Text string;

    skip_space(text);
    for (start = text->p; text->p < text->end;) {
        char c = *text->p;

        if (c == '"') {
            if (!take_string(text, &string))
                return false;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            break;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        text->p++;
    }
    *ret = (Text){start, text->p};
    return depth == 0 && text->p > start;
}

/* The next member of the object whose inside `text` is at; false at its end or at what is no member. */
static bool take_member(Text *text, Text *ret_key, Text *ret_value)
{
    take(text, ',');
    return take_string(text, ret_key) && take(text, ':') && take_value(text, ret_value);
}

static void copy_reason(Text data, char reason[static QMP_REASON_MAX])
{
    Text key, value, word;
    size_t n;

    if (!take(&data, '{'))
        return;
    while (take_member(&data, &key, &value)) {
        if (!text_is(&key, "reason") || !take_string(&value, &word))
            continue;
        n = (size_t) (word.end - word.p);
        for (size_t i = 0; i < n; i++) {
            if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", word.p[i]) || !word.p[i])
                return;
        }
        if (n >= QMP_REASON_MAX)
            return;
        memcpy(reason, word.p, n);
        reason[n] = '\0';
    }
}

QmpLineType qmp_line_read(const char *line, size_t n, char reason[static QMP_REASON_MAX])
{
    QmpLineType type = QMP_LINE_OTHER;
    Text text = {line, line + n}, key, value, word;

    reason[0] = '\0';
    if (!take(&text, '{'))
        return QMP_LINE_OTHER;
    while (take_member(&text, &key, &value)) {
        if (text_is(&key, "QMP"))
            type = QMP_LINE_GREETING;
        else if (text_is(&key, "return") || text_is(&key, "error"))
            type = QMP_LINE_ANSWER;
        else if (text_is(&key, "data"))
            copy_reason(value, reason);
        else if (text_is(&key, "event") && take_string(&value, &word)) {
            for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
                if (text_is(&word, events[i].event))
                    type = events[i].type;
            }
        }
    }
    return take(&text, '}') ? type : QMP_LINE_OTHER;
}
