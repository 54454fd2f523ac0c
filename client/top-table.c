/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "top-table.h"

#include <math.h>
#include <string.h>

#include "terminal.h"
#include "value.h"

/* A name has this much room before a column that is left out for it. */
#define NAME_MIN 8U
#define NAME_GOOD 16U

typedef enum Show { SHOW_PERCENT, SHOW_SIZE, SHOW_COUNT, SHOW_STALL, SHOW_STATE } Show;

/* From left to right; what matters less has a greater rank, and is left out first. */
static const struct Column {
    const char *title;
    size_t width;
    unsigned rank;
    Show show;
    UsageNumber number;
    char key;          /* of the keyboard: by what is sorted, with what comes after it under the same key */
    const char *order; /* what that is called */
} table[] = {
    {"STATE", 8, 9, SHOW_STATE, 0, 0, NULL},
    {"CPUS", 4, 10, SHOW_COUNT, USAGE_CPUS, 0, NULL},
    {"%CPU", 6, 0, SHOW_PERCENT, USAGE_CPU, 'c', "CPU"},
    {"MEMORY", 7, 1, SHOW_SIZE, USAGE_MEMORY, 'm', "memory"},
    {"BALLOON", 7, 7, SHOW_SIZE, USAGE_BALLOON, 0, NULL},
    {"USED", 7, 11, SHOW_SIZE, USAGE_USED, 0, NULL},
    {"READ/s", 7, 2, SHOW_SIZE, USAGE_READ, 'd', "disk"},
    {"WRITE/s", 7, 3, SHOW_SIZE, USAGE_WRITTEN, 'd', NULL},
    {"READS/s", 7, 12, SHOW_COUNT, USAGE_READS, 0, NULL},
    {"WRITES/s", 8, 13, SHOW_COUNT, USAGE_WRITES, 0, NULL},
    {"RECV/s", 7, 4, SHOW_SIZE, USAGE_RECEIVED, 'n', "network"},
    {"SENT/s", 7, 5, SHOW_SIZE, USAGE_SENT, 'n', NULL},
    {"STALL", 6, 6, SHOW_STALL, USAGE_STALL_CPU, 'p', "pressure"},
    {"EXITS/s", 8, 8, SHOW_COUNT, USAGE_EXITS, 'x', "exits"},
};
#define N_COLUMNS G_N_ELEMENTS(table)

const char *top_order_name(char key)
{
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (key && table[i].key == key && table[i].order)
            return table[i].order;
    return key == 'a' ? "name" : NULL;
}

/* ---- order ---- */

static double weight(const UsageRow *row, char key)
{
    double sum = 0;
    char letter;
    for (size_t i = 0; i < N_COLUMNS; i++) {
        double number = table[i].show == SHOW_STALL ? usage_stall(row, &letter) : row->numbers[table[i].number];
        if (table[i].key == key && !isnan(number))
            sum += number;
    }
    return sum;
}

static int compare(gconstpointer a, gconstpointer b, gpointer userdata)
{
    const UsageRow *left = a, *right = b;
    const TopOrder *order = userdata;
    int by_name = strcmp(left->name, right->name);
    double difference = order->key == 'a' ? 0 : weight(right, order->key) - weight(left, order->key);
    int result = difference > 0 ? 1 : difference < 0 ? -1 : 0;
    if (order->key == 'a')
        return order->reversed ? -by_name : by_name;
    return result == 0 ? by_name : order->reversed ? -result : result;
}

void top_sort(UsageRow *rows, size_t n, TopOrder order)
{
    g_qsort_with_data(rows, (gint) n, sizeof *rows, compare, &order);
}

/* ---- columns ---- */

static const struct Column *find_rank(unsigned rank)
{
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (table[i].rank == rank)
            return &table[i];
    g_assert_not_reached();
}

/* Those for which there is room beside a name that can be read, in the order of their ranks; what is left over is the name's. */
static void choose(size_t columns, size_t name_width, bool ret_shown[static N_COLUMNS], size_t *ret_name)
{
    size_t name = columns > 0 ? CLAMP(name_width, NAME_MIN, NAME_GOOD) : MAX(name_width, NAME_MIN), used = 0;
    memset(ret_shown, 0, N_COLUMNS * sizeof *ret_shown);
    for (unsigned rank = 0; rank < N_COLUMNS; rank++) {
        const struct Column *column = find_rank(rank);
        if (columns > 0 && name + used + 1 + column->width > columns)
            break;
        used += 1 + column->width;
        ret_shown[column - table] = true;
    }
    *ret_name = columns > used ? MIN(columns - used, MAX(name_width, NAME_MIN)) : name;
}

static void append_left(GString *text, const char *word, size_t width, Style style)
{
    g_autofree char *cut = terminal_ellipsize(word, width);
    size_t own = terminal_width(cut);
    g_string_append_printf(text, "%s%s%s%*s", terminal_style(stdout, style), cut, terminal_normal(stdout, style), (int) (width - MIN(own, width)), "");
}

static void append_right(GString *text, const char *word, size_t width)
{
    size_t own = terminal_width(word);
    g_string_append_printf(text, " %*s%s", (int) (width - MIN(own, width)), "", word);
}

void top_append_header(GString *text, size_t columns, size_t name_width, TopOrder order)
{
    bool shown[N_COLUMNS];
    size_t name;
    choose(columns, name_width, shown, &name);
    append_left(text, order.key == 'a' ? "NAME*" : "NAME", name, STYLE_NONE);
    for (size_t i = 0; i < N_COLUMNS; i++) {
        bool first = order.key && table[i].key == order.key && table[i].order;
        g_autofree char *title = g_strconcat(table[i].title, first ? "*" : "", NULL);
        if (shown[i])
            append_right(text, title, table[i].width);
    }
}

static char *format(const UsageRow *row, size_t column)
{
    double number = row->numbers[table[column].number];
    char letter;
    if (table[column].show == SHOW_STATE)
        return terminal_clean(row->state);
    if (table[column].show == SHOW_STALL)
        number = usage_stall(row, &letter);
    if (isnan(number))
        return g_strdup("-");
    switch (table[column].show) {
    case SHOW_PERCENT:
        return g_strdup_printf(number < 9999 ? "%.1f" : "%.0f", number);
    case SHOW_STALL:
        return number < 0.05 ? g_strdup("0.0") : g_strdup_printf("%.1f%c", number, letter);
    case SHOW_SIZE:
        return number < 0.5 ? g_strdup("0") : format_size_human((uint64_t) (number + 0.5));
    case SHOW_COUNT:
        return number < 1e7 ? g_strdup_printf("%.0f", number) : g_strdup_printf("%.0fM", number / 1e6);
    case SHOW_STATE:
        break;
    }
    return NULL;
}

void top_append_row(GString *text, size_t columns, size_t name_width, const UsageRow *row)
{
    bool shown[N_COLUMNS];
    size_t name;
    g_autofree char *clean = terminal_clean(row->name);
    bool runs = strcmp(row->state, "running") == 0;
    choose(columns, name_width, shown, &name);
    append_left(text, clean, name, runs ? STYLE_NONE : terminal_state_style(row->state));
    for (size_t i = 0; i < N_COLUMNS; i++) {
        g_autofree char *cell = shown[i] ? format(row, i) : NULL;
        if (cell)
            append_right(text, cell, table[i].width);
    }
}

/* ---- sums ---- */

static double sum(const UsageRow *rows, size_t n, UsageNumber number)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(rows[i].numbers[number]))
            total += rows[i].numbers[number];
    return total;
}

void top_append_sums(GString *text, size_t columns, const UsageRow *rows, size_t n)
{
    static const struct {
        const char *before, *after;
        UsageNumber number;
    } sizes[] = {
        {", memory ", "", USAGE_MEMORY}, {", disks ", "/s read", USAGE_READ}, {", ", "/s written", USAGE_WRITTEN},
        {", networks ", "/s in", USAGE_RECEIVED}, {", ", "/s out", USAGE_SENT},
    };
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "CPU %.1f%%", sum(rows, n, USAGE_CPU));
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        double number = sum(rows, n, sizes[i].number);
        g_autofree char *size = number < 0.5 ? g_strdup("0") : format_size_human((uint64_t) (number + 0.5));
        g_string_append_printf(line, "%s%s%s", sizes[i].before, size, sizes[i].after);
    }
    g_autofree char *cut = terminal_ellipsize(line->str, columns);
    g_string_append(text, cut);
}
