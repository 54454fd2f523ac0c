/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "value.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <string.h>

typedef struct Unit {
    const char *name;
    uint64_t factor;
} Unit;

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* systemd.time(7); a month is 30.44 days and a year 365.25. */
static const Unit time_units[] = {
        {"seconds", USEC_PER_SEC},
        {"second", USEC_PER_SEC},
        {"sec", USEC_PER_SEC},
        {"s", USEC_PER_SEC},
        {"minutes", MINUTE},
        {"minute", MINUTE},
        {"min", MINUTE},
        {"months", UINT64_C(2629800) * USEC_PER_SEC},
        {"month", UINT64_C(2629800) * USEC_PER_SEC},
        {"M", UINT64_C(2629800) * USEC_PER_SEC},
        {"msec", 1000},
        {"ms", 1000},
        {"m", MINUTE},
        {"hours", HOUR},
        {"hour", HOUR},
        {"hr", HOUR},
        {"h", HOUR},
        {"days", DAY},
        {"day", DAY},
        {"d", DAY},
        {"weeks", 7 * DAY},
        {"week", 7 * DAY},
        {"w", 7 * DAY},
        {"years", UINT64_C(31557600) * USEC_PER_SEC},
        {"year", UINT64_C(31557600) * USEC_PER_SEC},
        {"y", UINT64_C(31557600) * USEC_PER_SEC},
        {"usec", 1},
        {"us", 1},
        {"µs", 1}, /* micro sign */
        {"μs", 1}, /* Greek mu */
        {NULL, USEC_PER_SEC},
};

static const Unit size_units_1024[] = {
        {"B", 1},
        {"K", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"T", UINT64_C(1) << 40},
        {"P", UINT64_C(1) << 50},
        {"E", UINT64_C(1) << 60},
        {NULL, 1},
};

static const Unit size_units_1000[] = {
        {"B", 1},
        {"K", UINT64_C(1000)},
        {"M", UINT64_C(1000000)},
        {"G", UINT64_C(1000000000)},
        {"T", UINT64_C(1000000000000)},
        {"P", UINT64_C(1000000000000000)},
        {"E", UINT64_C(1000000000000000000)},
        {NULL, 1},
};

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

int parse_boolean(const char *s, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1", "y", "t"};
    static const char *const no[] = {"no", "false", "off", "0", "n", "f"};

    for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
        if (g_ascii_strcasecmp(s, yes[i]) == 0) {
            *ret = true;
            return 0;
        }
        if (g_ascii_strcasecmp(s, no[i]) == 0) {
            *ret = false;
            return 0;
        }
    }
    return -EINVAL;
}

/* Reads the digits at *s, at least one, and moves behind them. */
static int read_digits(const char **s, uint64_t *ret)
{
    const char *p = *s;
    uint64_t v = 0;
    int r = 0;

    if (!g_ascii_isdigit(*p))
        return -EINVAL;
    for (; g_ascii_isdigit(*p); p++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
                __builtin_add_overflow(v, (uint64_t) (*p - '0'), &v))
            r = -ERANGE;
    *s = p;
    if (r == 0)
        *ret = v;
    return r;
}

int parse_uint64(const char *s, uint64_t *ret)
{
    uint64_t v = 0;
    int r = read_digits(&s, &v);

    if (*s != '\0')
        return -EINVAL;
    if (r == 0)
        *ret = v;
    return r;
}

/* Reads "DIGITS[.DIGITS] [UNIT]" and moves behind it. A fraction counts to its last digit that matters. */
static int read_quantity(const char **s, const Unit *units, uint64_t *ret, bool *ret_has_unit)
{
    const char *p = *s, *fraction = NULL, *fraction_end = NULL;
    uint64_t v = 0;
    const Unit *u;
    int r;

    r = read_digits(&p, &v);
    if (r == -EINVAL)
        return r;
    if (*p == '.') {
        fraction = ++p;
        p += strspn(p, "0123456789");
        fraction_end = p;
        if (fraction == fraction_end)
            return -EINVAL;
    }

    p = skip_space(p);
    for (u = units; u->name; u++)
        if (g_str_has_prefix(p, u->name))
            break;
    if (u->name)
        p += strlen(u->name);

    if (fraction && u->factor == 1)
        return -EINVAL;
    if (r < 0 || __builtin_mul_overflow(v, u->factor, &v))
        return -ERANGE;
    if (fraction) {
        /* Long division, so that nothing is lost and nothing overflows: a digit at a time, as deep as the
         * factor has digits. */
        unsigned __int128 sum = 0, scale = 1;

        for (; fraction < fraction_end && scale < (unsigned __int128) u->factor * 10; fraction++) {
            sum = sum * 10 + (unsigned) (*fraction - '0');
            scale *= 10;
        }
        if (__builtin_add_overflow(v, (uint64_t) (sum * u->factor / scale), &v))
            return -ERANGE;
    }

    *s = p;
    *ret = v;
    *ret_has_unit = u->name != NULL;
    return 0;
}

static int parse_size_in(const char *s, const Unit *units, uint64_t *ret)
{
    bool has_unit;
    uint64_t v;
    int r;

    s = skip_space(s);
    r = read_quantity(&s, units, &v, &has_unit);
    if (r < 0)
        return r;
    if (*skip_space(s) != '\0')
        return -EINVAL;
    *ret = v;
    return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
    return parse_size_in(s, size_units_1024, ret);
}

int parse_size_1000(const char *s, uint64_t *ret)
{
    return parse_size_in(s, size_units_1000, ret);
}

int parse_duration(const char *s, uint64_t *ret)
{
    uint64_t sum = 0;

    s = skip_space(s);
    if (g_str_has_prefix(s, "infinity")) {
        if (*skip_space(s + strlen("infinity")) != '\0')
            return -EINVAL;
        *ret = USEC_INFINITY;
        return 0;
    }

    do {
        bool has_unit;
        uint64_t v;
        int r = read_quantity(&s, time_units, &v, &has_unit);

        if (r < 0)
            return r;
        /* "5x" is no "5" with something behind it; "5min20s" is fine. */
        if (*s != '\0' && !has_unit && *s != ' ' && *s != '\t' && !g_ascii_isdigit(*s))
            return -EINVAL;
        if (__builtin_add_overflow(sum, v, &sum) || sum == USEC_INFINITY)
            return -ERANGE;
        s = skip_space(s);
    } while (*s != '\0');

    *ret = sum;
    return 0;
}

int parse_words(const char *s, char ***ret)
{
    g_autoptr(GError) error = NULL;
    char **words;

    if (g_shell_parse_argv(s, NULL, &words, &error)) {
        *ret = words;
        return 0;
    }
    if (!g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING))
        return -EINVAL;
    *ret = g_new0(char *, 1);
    return 0;
}

char *format_size(uint64_t bytes)
{
    if (bytes > 0)
        for (size_t i = G_N_ELEMENTS(size_units_1024) - 2; i > 0; i--)
            if (bytes % size_units_1024[i].factor == 0)
                return g_strdup_printf(
                        "%" PRIu64 "%s", bytes / size_units_1024[i].factor, size_units_1024[i].name);
    return g_strdup_printf("%" PRIu64, bytes);
}

char *format_size_human(uint64_t bytes)
{
    for (size_t i = G_N_ELEMENTS(size_units_1024) - 2; i > 0; i--) {
        uint64_t factor = size_units_1024[i].factor, tenths;

        if (bytes < factor)
            continue;
        tenths = (uint64_t) ((unsigned __int128) (bytes % factor) * 10 / factor);
        if (tenths == 0)
            return g_strdup_printf("%" PRIu64 "%s", bytes / factor, size_units_1024[i].name);
        return g_strdup_printf("%" PRIu64 ".%" PRIu64 "%s", bytes / factor, tenths, size_units_1024[i].name);
    }
    return g_strdup_printf("%" PRIu64 "B", bytes);
}

char *format_duration(uint64_t usec)
{
    static const Unit units[] = {{"w", 7 * DAY}, {"d", DAY}, {"h", HOUR}, {"min", MINUTE},
            {"s", USEC_PER_SEC}, {"ms", 1000}, {"us", 1}};
    GString *s;

    if (usec == USEC_INFINITY)
        return g_strdup("infinity");
    if (usec == 0)
        return g_strdup("0");

    s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (usec < units[i].factor)
            continue;
        g_string_append_printf(
                s, "%s%" PRIu64 "%s", s->len > 0 ? " " : "", usec / units[i].factor, units[i].name);
        usec %= units[i].factor;
    }
    return g_string_free(s, FALSE);
}

char *format_words(const char *const *words)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-";
    GString *s = g_string_new(NULL);

    for (; words && *words; words++) {
        if (s->len > 0)
            g_string_append_c(s, ' ');
        if (**words != '\0' && (*words)[strspn(*words, plain)] == '\0')
            g_string_append(s, *words);
        else {
            g_autofree char *quoted = g_shell_quote(*words);
            g_string_append(s, quoted);
        }
    }
    return g_string_free(s, FALSE);
}
