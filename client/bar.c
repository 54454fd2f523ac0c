/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bar.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "terminal.h"

/* What it does in this time counts for how fast it is, and what it did before for less and less. */
#define SPEED_EVERY USEC_PER_SEC
#define SPEED_WEIGHT 0.3
#define COLUMNS_MIN 10U
#define COLUMNS_MAX 40U

void bar_init(Bar *bar, double progress)
{
    *bar = (Bar){.measured_progress = progress};
    bar->begun = bar->measured = (uint64_t) g_get_monotonic_time();
}

void bar_clear(Bar *bar)
{
    if (bar->shown)
        fputs("\r\033[K", stderr);
    bar->shown = false;
}

static void measure(Bar *bar, double progress)
{
    uint64_t now = (uint64_t) g_get_monotonic_time();
    if (progress < 0 || now - bar->measured < SPEED_EVERY)
        return;
    double speed = (progress - bar->measured_progress) * (double) USEC_PER_SEC / (double) (now - bar->measured);
    bar->speed = bar->speed > 0 ? (1 - SPEED_WEIGHT) * bar->speed + SPEED_WEIGHT * speed : MAX(speed, 0);
    bar->measured = now;
    bar->measured_progress = progress;
}

/* ", 120M/s, 1min 5s left" */
static void append_speed(const Bar *bar, double progress, uint64_t size, GString *text)
{
    double left = bar->speed > 0 ? (1 - progress) / bar->speed : 0;
    if (bar->speed <= 0 || left > 1e6)
        return;
    g_autofree char *time = format_duration((uint64_t) (left + 1) * USEC_PER_SEC);
    g_autofree char *rate = format_size_human((uint64_t) (bar->speed * (double) size));
    if (size > 0)
        g_string_append_printf(text, ", %s/s", rate);
    g_string_append_printf(text, ", %s left", time);
}

static void append_columns(GString *text, double progress, size_t columns)
{
    size_t full = (size_t) (progress * (double) columns);
    g_string_append_c(text, '[');
    for (size_t i = 0; i < columns; i++)
        g_string_append_c(text, i < full ? '=' : i == full ? '>' : ' ');
    g_string_append_c(text, ']');
}

void bar_print(Bar *bar, const char *label, double progress, uint64_t size)
{
    g_autoptr(GString) text = g_string_new(label), end = g_string_new(NULL);
    size_t columns = terminal_columns_of_stderr();

    measure(bar, progress);
    if (progress < 0) {
        g_autofree char *waited = format_duration(((uint64_t) g_get_monotonic_time() - bar->begun) / USEC_PER_SEC * USEC_PER_SEC);
        g_string_append_printf(text, ", %s", waited);
    } else {
        g_string_append_printf(end, " %3.0f%%", progress * 100);
        append_speed(bar, progress, size, end);
        size_t used = text->len + end->len + strlen(" []") + 1;
        g_string_append_c(text, ' ');
        if (columns >= used + COLUMNS_MIN)
            append_columns(text, progress, MIN(columns - used, COLUMNS_MAX));
        g_string_append(text, end->str);
    }
    g_autofree char *line = terminal_ellipsize(text->str, columns - 1);
    fprintf(stderr, "\r\033[K%s", line);
    (void) fflush(stderr);
    bar->shown = true;
}
