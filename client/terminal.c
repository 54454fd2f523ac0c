/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "terminal.h"

#include <glib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pager.h"
#include "value.h"

static const char *const styles[_STYLE_MAX] = {
        [STYLE_NONE] = "",
        [STYLE_HEADER] = "\033[4m",
        [STYLE_GOOD] = "\033[1;32m",
        [STYLE_BAD] = "\033[1;31m",
        [STYLE_WARN] = "\033[1;33m",
        [STYLE_DIM] = "\033[2m",
        [STYLE_BOLD] = "\033[1m",
};

static bool find_colors(FILE *file)
{
    const char *own = getenv("SYSTEMD_COLORS"), *none = getenv("NO_COLOR"), *term = getenv("TERM");
    bool wanted;
    /* SYSTEMD_COLORS may also be a number of colours. */
    if (own && *own && !g_str_equal(own, "auto"))
        return parse_boolean(own, &wanted) >= 0 ? wanted : true;
    if (none && *none)
        return false;
    if (!term || g_str_equal(term, "dumb"))
        return false;
    return isatty(fileno(file)) || (file == stdout && pager_is_open());
}

bool terminal_has_colors(FILE *file)
{
    static int answers[2]; /* 0: not asked yet, 1: no, 2: yes */
    int *answer = &answers[file == stdout];
    if (*answer == 0)
        *answer = find_colors(file) ? 2 : 1;
    return *answer == 2;
}

const char *terminal_style(FILE *file, Style style)
{
    return terminal_has_colors(file) ? styles[style] : "";
}

const char *terminal_normal(FILE *file, Style style)
{
    return style != STYLE_NONE && terminal_has_colors(file) ? "\033[0m" : "";
}

size_t terminal_columns(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    uint64_t n;
    if (columns && parse_uint64(columns, &n) >= 0 && n > 0 && n < 10000)
        return (size_t) n;
    if (!isatty(STDOUT_FILENO) && !pager_is_open())
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0)
        return size.ws_col;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

size_t terminal_columns_of_stderr(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static size_t char_width(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

size_t terminal_width(const char *text)
{
    size_t width = 0;
    if (!g_utf8_validate(text, -1, NULL))
        return strlen(text);
    for (const char *p = text; *p; p = g_utf8_next_char(p))
        width += char_width(g_utf8_get_char(p));
    return width;
}

char *terminal_ellipsize(const char *text, size_t columns)
{
    if (terminal_width(text) <= columns || columns == 0)
        return g_strdup(text);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    size_t width = 0;
    const char *p = valid;
    while (*p && width + char_width(g_utf8_get_char(p)) <= columns - 1) {
        width += char_width(g_utf8_get_char(p));
        p = g_utf8_next_char(p);
    }
    return g_strdup_printf("%.*s…", (int) (p - valid), valid);
}

char *terminal_clean(const char *text)
{
    char *clean = g_utf8_make_valid(text, -1);
    char *to = clean;
    for (const char *from = clean; *from;) {
        const char *next = g_utf8_next_char(from);
        gunichar c = g_utf8_get_char(from);
        size_t length = (size_t) (next - from);
        if (c == '\n' || c == '\t')
            *to++ = (char) c;
        else if (!g_unichar_iscntrl(c)) {
            memmove(to, from, length);
            to += length;
        }
        from = next;
    }
    *to = 0;
    return clean;
}

bool terminal_is_interactive(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

bool terminal_confirm(bool otherwise, const char *format, ...)
{
    for (;;) {
        va_list ap;
        va_start(ap, format);
        g_autofree char *question = g_strdup_vprintf(format, ap);
        va_end(ap);
        printf("%s %s ", question, otherwise ? "[Y/n]" : "[y/N]");
        (void) fflush(stdout);

        char line[64];
        if (!fgets(line, sizeof line, stdin)) {
            putchar('\n');
            return false;
        }
        g_strstrip(line);
        if (!*line)
            return otherwise;
        if (g_ascii_strcasecmp(line, "y") == 0 || g_ascii_strcasecmp(line, "yes") == 0)
            return true;
        if (g_ascii_strcasecmp(line, "n") == 0 || g_ascii_strcasecmp(line, "no") == 0)
            return false;
    }
}

Style terminal_state_style(const char *state)
{
    static const struct {
        const char *state;
        Style style;
    } table[] = {
            {"running", STYLE_GOOD},
            {"failed", STYLE_BAD},
            {"paused", STYLE_WARN},
            {"saving", STYLE_WARN},
            {"starting", STYLE_GOOD},
            {"stopping", STYLE_WARN},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].state, state))
            return table[i].style;
    return STYLE_NONE;
}
