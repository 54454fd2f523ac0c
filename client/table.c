/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <stdarg.h>
#include <string.h>

typedef struct Cell {
    char *text;
    Style style;
} Cell;

struct Table {
    const char *const *header;
    size_t n_columns;
    GArray *cells;
};

static void cell_clear(gpointer data)
{
    g_free(((Cell *) data)->text);
}

Table *table_new(const char *const *header)
{
    Table *table = g_new0(Table, 1);
    table->header = header;
    while (header[table->n_columns])
        table->n_columns++;
    table->cells = g_array_new(false, false, sizeof(Cell));
    g_array_set_clear_func(table->cells, cell_clear);
    return table;
}

void table_free(Table *table)
{
    if (!table)
        return;
    g_array_unref(table->cells);
    g_free(table);
}

void table_add(Table *table, Style style, const char *text)
{
    Cell cell = {terminal_clean(text && *text ? text : "-"), style};
    g_strdelimit(cell.text, "\n\t", ' ');
    g_array_append_val(table->cells, cell);
}

void table_addf(Table *table, Style style, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    table_add(table, style, text);
}

static bool is_right(const Table *table, size_t column)
{
    return table->header[column][0] == '>';
}

static const char *title(const Table *table, size_t column)
{
    return table->header[column] + is_right(table, column);
}

/* A style covers the padding in a header, so that its line is whole, and the text alone elsewhere. */
static void print_cell(const Table *table, size_t column, const char *text, size_t width, Style style)
{
    size_t own = terminal_width(text);
    int padding = width > own ? (int) (width - own) : 0;
    bool last = column + 1 == table->n_columns, right = is_right(table, column);
    int before = right ? padding : 0, after = right || last ? 0 : padding;

    if (style == STYLE_HEADER)
        printf("%s%*s%s%*s%s", terminal_style(stdout, style), before, "", text, after, "",
                terminal_normal(stdout, style));
    else
        printf("%*s%s%s%s%*s", before, "", terminal_style(stdout, style), text,
                terminal_normal(stdout, style), after, "");
    if (!last)
        printf("%s %s", style == STYLE_HEADER ? terminal_style(stdout, style) : "",
                style == STYLE_HEADER ? terminal_normal(stdout, style) : "");
    else
        putchar('\n');
}

void table_print(const Table *table, const Client *client, bool full, const char *thing, const char *things)
{
    size_t n = table->n_columns, n_rows = table->cells->len / n, used = 0, columns = terminal_columns();
    g_autofree size_t *widths = g_new0(size_t, n);
    bool legend = !client->no_legend && !client->quiet;

    for (size_t i = 0; i < n; i++) {
        widths[i] = legend ? terminal_width(title(table, i)) : 0;
        for (size_t row = 0; row < n_rows; row++)
            widths[i] = MAX(widths[i], terminal_width(g_array_index(table->cells, Cell, row * n + i).text));
        if (i + 1 < n)
            used += widths[i] + 1;
    }
    for (size_t i = 0; legend && n_rows > 0 && i < n; i++)
        print_cell(table, i, title(table, i), widths[i], STYLE_HEADER);
    for (size_t i = 0; i < n_rows * n; i++) {
        const Cell *cell = &g_array_index(table->cells, Cell, i);
        bool cut = !full && i % n + 1 == n && columns > used + 10;
        g_autofree char *text = cut ? terminal_ellipsize(cell->text, columns - used) : NULL;
        print_cell(table, i % n, text ? text : cell->text, widths[i % n], cell->style);
    }
    if (legend)
        printf("%s%zu %s listed.\n", n_rows > 0 ? "\n" : "", n_rows, n_rows == 1 ? thing : things);
}
