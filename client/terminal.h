/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the terminal can do and how things look on it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum Style {
    STYLE_NONE,
    STYLE_HEADER, /* of a table: underlined */
    STYLE_GOOD,
    STYLE_BAD,
    STYLE_WARN,
    STYLE_DIM,
    STYLE_BOLD,
    _STYLE_MAX,
} Style;

/* Whether `file` (stdout or stderr) takes colours: a terminal, or a pager before one, unless NO_COLOR,
 * SYSTEMD_COLORS or TERM=dumb say otherwise. */
bool terminal_has_colors(FILE *file);

/* The escape sequences that begin and end a style; "" where there are no colours. */
const char *terminal_style(FILE *file, Style style);
const char *terminal_normal(FILE *file, Style style);

/* Columns: $COLUMNS, the terminal's own, or 80; 0 where lines are not to be cut (no terminal). */
size_t terminal_columns(void);

/* Columns of the terminal that stderr is. */
size_t terminal_columns_of_stderr(void);

/* How many columns the text takes. */
size_t terminal_width(const char *text);

/* A new string of at most `columns` columns, the end replaced by "…" where it is longer. */
char *terminal_ellipsize(const char *text, size_t columns);

/* The same without control characters: what comes from elsewhere must not drive the terminal. */
char *terminal_clean(const char *text);

/* stdin and stdout are terminals: somebody can answer. */
bool terminal_is_interactive(void);

/* Asks on the terminal; an empty answer is `otherwise`, end of file is no. */
bool terminal_confirm(bool otherwise, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The style in which a VM's state is shown. */
Style terminal_state_style(const char *state);
