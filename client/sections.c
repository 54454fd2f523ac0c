/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sections.h"

#include "connect.h"
#include "kind.h"
#include "report.h"

int sections_get_settings(Client *client, const char *name, json_t **ret)
{
    return json_call(client, name, client_kind(client)->interface, "GetSettings", ret);
}

bool sections_is_written_disk(const char *section, const json_t *keys)
{
    const char *source = json_get_string(keys, "Source"), *type = json_get_string(keys, "Type");
    bool cdrom = *type ? g_str_equal(type, "cdrom") : g_str_has_suffix(source, ".iso");
    return g_str_has_prefix(section, "Disk ") && *source && !cdrom && !json_get_bool(keys, "ReadOnly");
}

int sections_get(Client *client, const char *name, char ***ret)
{
    g_autoptr(json_t) settings = NULL;
    g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func(g_free);
    const char *section;
    json_t *keys;
    int r = sections_get_settings(client, name, &settings);
    if (r != EXIT_DONE)
        return r;
    json_object_foreach(settings, section, keys)
        g_ptr_array_add(sections, g_strdup(section));
    g_ptr_array_add(sections, NULL);
    *ret = (char **) g_ptr_array_steal(sections, NULL);
    return EXIT_DONE;
}
