/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-text.h"

#include <string.h>

#include "settings.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool settings_text_check(const char *text, size_t length, const char *origin, Error **ret_error)
{
    g_autofree char *at = NULL;
    const char *bad;
    unsigned line = 1;

    if (length > SETTINGS_FILE_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, origin, NULL,
                "the file has more than %u bytes, which no settings file needs", SETTINGS_FILE_MAX);
    if (g_utf8_validate_len(text, length, &bad))
        return true;

    for (const char *p = text; p < bad; p++)
        line += *p == '\n';
    at = g_strdup_printf("%s:%u", origin, line);
    if (*bad == '\0')
        return error_set(
                ret_error, ERROR_INVALID_SETTINGS, at, NULL, "there is a NUL byte; this is no text file");
    return error_set(ret_error, ERROR_INVALID_SETTINGS, at, "Save the file as UTF-8.",
            "the byte 0x%02x is not UTF-8 here", (unsigned char) *bad);
}

void line_reader_init(LineReader *reader, const char *text, size_t length)
{
    *reader = (LineReader){.next = text, .end = text + length};
    if (length >= strlen(BYTE_ORDER_MARK) && memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
        reader->next += strlen(BYTE_ORDER_MARK);
}

static const char *find_control(const char *p, const char *end)
{
    for (; p < end; p = g_utf8_next_char(p))
        if ((unsigned char) *p < 0x80 ? g_ascii_iscntrl(*p) && *p != '\t'
                                      : g_unichar_iscntrl(g_utf8_get_char(p)))
            return p;
    return NULL;
}

static void read_section(Line *line, const char *p, const char *end)
{
    const char *close = memchr(p, ']', (size_t) (end - p));

    if (!close || close + 1 != end) {
        line->problem =
                close ? "there is something after the \"]\" of a section" : "a section's \"]\" is missing";
        return;
    }
    line->name = p + 1;
    line->name_length = (size_t) (close - line->name);
    if (line->name_length == 0 || memchr(line->name, '[', line->name_length))
        line->problem = "this is not a valid section";
    else
        line->kind = LINE_SECTION;
}

static void read_key(Line *line, const char *p, const char *end)
{
    const char *equals = memchr(p, '=', (size_t) (end - p)), *key_end = equals;

    if (!equals) {
        line->problem =
                *p == ';' ? "a comment starts with \"#\"" : "there is neither [Section] nor Key=Value";
        return;
    }
    while (key_end > p && is_blank(key_end[-1]))
        key_end--;
    for (line->value = equals + 1; line->value < end && is_blank(*line->value); line->value++)
        ;
    line->value_length = (size_t) (end - line->value);
    line->name = p;
    line->name_length = (size_t) (key_end - p);
    if (line->name_length == 0)
        line->problem = "there is no key before the \"=\"";
    else
        line->kind = LINE_KEY;
}

bool line_reader_next(LineReader *reader, Line *ret)
{
    const char *p = reader->next, *end;

    if (p >= reader->end)
        return false;

    end = memchr(p, '\n', (size_t) (reader->end - p));
    reader->next = end ? end + 1 : reader->end;
    *ret = (Line){.kind = LINE_BROKEN,
            .start = p,
            .length = (size_t) (reader->next - p),
            .number = ++reader->number};
    if (!end)
        end = reader->end;
    if (end > p && end[-1] == '\r')
        end--;

    while (p < end && is_blank(*p))
        p++;
    while (end > p && is_blank(end[-1]))
        end--;

    if (p == end)
        ret->kind = LINE_BLANK;
    else if (*p == '#')
        ret->kind = LINE_COMMENT;
    else if (find_control(p, end))
        ret->problem = "there is a control character";
    else if (*p == '[')
        read_section(ret, p, end);
    else
        read_key(ret, p, end);
    return true;
}
