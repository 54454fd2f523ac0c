/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timestamp.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "value.h"

#define HOUR UINT64_C(3600)
#define DAY (24 * HOUR)

char *timestamp_format(uint64_t usec)
{
    time_t seconds = (time_t) (usec / USEC_PER_SEC);
    struct tm tm;
    char text[64];
    if (!localtime_r(&seconds, &tm) || strftime(text, sizeof text, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        return g_strdup("");
    return g_strdup(text);
}

/* A unit, and the smaller one that is named beside it. */
static const struct {
    uint64_t from, unit, beside;
    const char *one, *many, *beside_one, *beside_many;
} spans[] = {
        {365 * DAY, 365 * DAY, 30 * DAY, " year ", " years ", " month", " months"},
        {30 * DAY, 30 * DAY, DAY, " month ", " months ", " day", " days"},
        {7 * DAY, 7 * DAY, DAY, " week ", " weeks ", " day", " days"},
        {2 * DAY, DAY, 0, " days", " days", NULL, NULL},
        {DAY, DAY, HOUR, " day ", " days ", "h", "h"},
        {HOUR, HOUR, 60, "h ", "h ", "min", "min"},
        {60, 60, 1, "min ", "min ", "s", "s"},
        {0, 1, 0, "s", "s", NULL, NULL},
};

char *timestamp_format_relative(uint64_t usec)
{
    uint64_t now = (uint64_t) g_get_real_time();
    uint64_t seconds = (now > usec ? now - usec : usec - now) / USEC_PER_SEC;
    size_t i = 0;

    while (seconds < spans[i].from)
        i++;
    uint64_t n = seconds / spans[i].unit;
    uint64_t rest = spans[i].beside > 0 ? seconds % spans[i].unit / spans[i].beside : 0;
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "%" PRIu64 "%s", n, n == 1 ? spans[i].one : spans[i].many);
    if (rest > 0)
        g_string_append_printf(
                text, "%" PRIu64 "%s", rest, rest == 1 ? spans[i].beside_one : spans[i].beside_many);
    g_string_truncate(text, strlen(g_strchomp(text->str)));
    g_string_append(text, now >= usec ? " ago" : " left");
    return g_string_free(g_steal_pointer(&text), false);
}
