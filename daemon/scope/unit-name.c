/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit-name.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

char *unit_name_from_path(const char *path, const char *suffix)
{
    GString *name = g_string_new(NULL);
    if (!path[1])
        g_string_append_c(name, '-');
    for (const char *p = path + 1; *p; p++) {
        bool plain = g_ascii_isalnum(*p) || strchr(":_", *p) || (*p == '.' && p > path + 1);
        if (*p == '/')
            g_string_append_c(name, '-');
        else if (plain)
            g_string_append_c(name, *p);
        else
            g_string_append_printf(name, "\\x%02x", (unsigned char) *p);
    }
    g_string_append(name, suffix);
    return g_string_free(name, FALSE);
}
