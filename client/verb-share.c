/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* share add, remove, list: folders of the host's that a guest can mount. */
#include <string.h>

#include "connect.h"
#include "json.h"
#include "name.h"
#include "report.h"
#include "sections.h"
#include "table.h"
#include "terminal.h"
#include "verb.h"

/* "My docs" of /home/alice/My docs is "My-docs": what device_name_is_valid() lets through. NULL: nothing is left. */
static char *name_of_path(const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    g_strcanon(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-", '-');
    name[MIN(strlen(name), 32)] = 0;
    return device_name_is_valid(name) ? g_steal_pointer(&name) : NULL;
}

int verb_share_add(Client *client)
{
    const char *vm = client->arguments[0];
    g_autofree char *path = client_is_local(client) ? g_canonicalize_filename(client->arguments[1], NULL) : g_strdup(client->arguments[1]);
    g_autofree char *name = client->as ? g_strdup(client->as) : name_of_path(path);
    g_autofree char *section = g_strdup_printf("Share %s", name ? name : "");
    g_autoptr(sd_bus_message) message = NULL;
    if (!name)
        return report_usage("share add: no name can be made of %s; give it one with --as=NAME", path);
    if (!g_utf8_validate(path, -1, NULL) || !g_utf8_validate(name, -1, NULL))
        return report_usage("share add: the path is no UTF-8");
    int r = client_new_call(client, vm, VM_INTERFACE, "AttachDevice", &message);
    if (r != EXIT_DONE)
        return r;
    int k = sd_bus_message_append(message, "sa{sv}", section, 2, "Path", "s", path, "ReadOnly", "b", client->read_only);
    if (k < 0)
        return report_errno(k, "AttachDevice: cannot make the call");
    r = client_send(client, vm, message, NULL);
    if (r == EXIT_DONE && !client->quiet)
        printf("Shared as \"%s\". In the guest: mount -t virtiofs %s /mnt\n", name, name);
    return r;
}

int verb_share_remove(Client *client)
{
    g_autofree char *section = g_strdup_printf("Share %s", client->arguments[1]);
    return client_call(client, client->arguments[0], VM_INTERFACE, "DetachDevice", NULL, "s", section);
}

/* What its settings say of each. */
static int read_shares(Client *client, json_t **ret)
{
    g_autoptr(json_t) settings = NULL;
    int r = sections_get_settings(client, client->arguments[0], &settings);
    if (r != EXIT_DONE)
        return r;
    json_t *shares = json_array(), *keys;
    const char *section;
    json_object_foreach(settings, section, keys) {
        const char *name = g_str_has_prefix(section, "Share ") ? section + strlen("Share ") : NULL;
        if (name)
            (void) json_array_append_new(shares,
                    json_pack("{ss ss sb}", "name", name, "path", json_get_string(keys, "Path"), "readOnly", json_get_bool(keys, "ReadOnly")));
    }
    *ret = shares;
    return EXIT_DONE;
}

int verb_share_list(Client *client)
{
    static const char *const header[] = {"NAME", "PATH", "READ-ONLY", NULL};
    g_autoptr(json_t) shares = NULL;
    int r = read_shares(client, &shares);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client) != JSON_MODE_OFF) {
        json_print(client, shares);
        return EXIT_DONE;
    }
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *row;
    json_array_foreach(shares, i, row) {
        table_add(table, STYLE_NONE, json_get_string(row, "name"));
        table_add(table, STYLE_NONE, json_get_string(row, "path"));
        table_add(table, STYLE_NONE, json_get_bool(row, "readOnly") ? "yes" : "no");
    }
    table_print(table, client, true, "folder", "folders");
    return EXIT_DONE;
}
