/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "name.h"

#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define DEVICE_NAME_MAX_LENGTH 32
#define SUGGESTION_MAX_LENGTH 64

static bool is_plain(const char *name, size_t max_length, const char *punctuation)
{
    size_t n;

    if (!name || !g_ascii_isalnum(name[0]))
        return false;
    for (n = 1; name[n] != '\0'; n++)
        if (n >= max_length || (!g_ascii_isalnum(name[n]) && !strchr(punctuation, name[n])))
            return false;
    return n <= max_length;
}

bool name_is_valid(const char *name)
{
    return is_plain(name, NAME_MAX_LENGTH, "_.-");
}

bool device_name_is_valid(const char *name)
{
    return is_plain(name, DEVICE_NAME_MAX_LENGTH, "_-");
}

bool volume_name_is_valid(const char *name)
{
    return is_plain(name, VOLUME_NAME_MAX_LENGTH, "_.-") && !g_str_has_suffix(name, VOLUME_PART_SUFFIX);
}

bool volume_name_check(const char *name, Error **ret_error)
{
    g_autofree char *shown = g_strndup(name, VOLUME_NAME_MAX_LENGTH), *escaped = g_strescape(shown, NULL);

    return volume_name_is_valid(name) ||
            error_set(ret_error, ERROR_INVALID_NAME, NULL,
                    "Allowed are 1 to 128 characters from A-Z, a-z, 0-9, \"_\", \".\" and \"-\", the first one a letter or a "
                    "digit; it does not end in \"" VOLUME_PART_SUFFIX "\"",
                    "\"%s\" cannot be the name of a volume", escaped);
}

bool name_split_source(const char *source, char **ret_pool, char **ret_volume)
{
    const char *slash = strchr(source, '/');
    g_autofree char *pool = slash ? g_strndup(source, (size_t) (slash - source)) : NULL;

    if (!pool || !device_name_is_valid(pool) || !volume_name_is_valid(slash + 1))
        return false;
    if (ret_pool)
        *ret_pool = g_steal_pointer(&pool);
    if (ret_volume)
        *ret_volume = g_strdup(slash + 1);
    return true;
}

const char *name_packing(const char *name)
{
    static const char *const packings[] = {".xz", ".gz", ".zst"};
    g_autofree char *path = g_strndup(name, strcspn(name, "?#"));
    for (size_t i = 0; i < G_N_ELEMENTS(packings); i++)
        if (g_str_has_suffix(path, packings[i]))
            return packings[i];
    return NULL;
}

bool name_check(const char *name, Error **ret_error)
{
    static const char allowed[] =
            "Allowed are 1 to 64 characters from A-Z, a-z, 0-9, \"_\", \".\" and \"-\", "
            "the first one a letter or a digit.";
    g_autofree char *shown = NULL, *thing = NULL;

    if (name_is_valid(name))
        return true;
    if (!name || name[0] == '\0')
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, allowed, "the name is empty");

    /* A hostile name is shown, but bounded and with its bytes escaped. */
    shown = g_strndup(name, NAME_MAX_LENGTH);
    if (g_utf8_validate(shown, -1, NULL))
        thing = g_strdup_printf("name \"%s\"", shown);
    else {
        g_autofree char *escaped = g_strescape(shown, NULL);
        thing = g_strdup_printf("name \"%s\"", escaped);
    }
    if (strlen(name) > NAME_MAX_LENGTH)
        return error_set(ret_error, ERROR_INVALID_NAME, thing, allowed,
                "the name is %zu bytes long, at most %d are allowed", strlen(name), NAME_MAX_LENGTH);
    return error_set(ret_error, ERROR_INVALID_NAME, thing, allowed, "this is not a valid name");
}

char *name_to_scope(const char *name)
{
    return g_strconcat("vm-", name, ".scope", NULL);
}

char *name_to_service(const char *name)
{
    return g_strconcat("vm@", name, ".service", NULL);
}

char *name_to_vm_path(const char *name)
{
    char *path = NULL;

    if (sd_bus_path_encode("/org/vmd1/vm", name, &path) < 0)
        g_error("out of memory");
    /* sd-bus allocates with malloc, our callers free with g_free: the same since GLib 2.46. */
    return path;
}

char *name_to_network_path(const char *name)
{
    char *path = NULL;

    if (sd_bus_path_encode("/org/vmd1/network", name, &path) < 0)
        g_error("out of memory");
    return path;
}

char *name_to_pool_path(const char *name)
{
    char *path = NULL;

    if (sd_bus_path_encode("/org/vmd1/pool", name, &path) < 0)
        g_error("out of memory");
    return path;
}

char *name_to_network_unit(const char *name)
{
    return g_strconcat("vmnet-", name, ".service", NULL);
}

char *name_from_scope(const char *unit)
{
    g_autofree char *name = NULL;

    if (!unit || !g_str_has_prefix(unit, "vm-") || !g_str_has_suffix(unit, ".scope"))
        return NULL;
    if (strlen(unit) <= strlen("vm-") + strlen(".scope"))
        return NULL;

    name = g_strndup(unit + strlen("vm-"), strlen(unit) - strlen("vm-") - strlen(".scope"));
    return name_is_valid(name) ? g_steal_pointer(&name) : NULL;
}

/* Edit distance where a swap of neighbours counts one, without regard to case. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned rows[3][SUGGESTION_MAX_LENGTH + 1];

    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned) j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = (unsigned) i;
        for (size_t j = 1; j <= m; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);

            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) && g_ascii_tolower(a[i - 2]) == y)
                row[j] = MIN(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *name_nearest(const char *name, const char *const *candidates)
{
    const char *best = NULL;
    size_t n = strlen(name);
    unsigned least = (unsigned) MAX(n / 3, 1U) + 1;

    if (n == 0 || n > SUGGESTION_MAX_LENGTH)
        return NULL;
    for (; *candidates; candidates++) {
        size_t m = strlen(*candidates);
        unsigned d;

        if (m > SUGGESTION_MAX_LENGTH)
            continue;
        d = distance(name, n, *candidates, m);
        if (d < least) {
            least = d;
            best = *candidates;
        }
    }
    return best;
}
