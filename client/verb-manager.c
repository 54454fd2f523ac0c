/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reload, version: vmd itself. */
#include <stdio.h>

#include "config.h"
#include "connect.h"
#include "json.h"
#include "report.h"
#include "verb.h"

int verb_reload(Client *client)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *path, *reason;
    int failed = EXIT_DONE;

    int r = client_call(client, NULL, MANAGER_INTERFACE, "Reload", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    if (client_json(client)) {
        g_autoptr(json_t) array = json_array();
        r = sd_bus_message_enter_container(reply, 'a', "(ss)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &path, &reason)) > 0)
            json_array_append_new(array, json_pack("{ss ss}", "path", path, "reason", reason));
        json_print(client, array);
        return r < 0 ? report_errno(r, "vmd: cannot read its answer") : EXIT_DONE;
    }
    r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &path, &reason)) > 0)
        failed = g_str_has_prefix(reason, path) ? report("%s", reason) : report("%s: %s", path, reason);
    return r < 0 ? report_errno(r, "vmd: cannot read its answer") : failed;
}

int verb_version(Client *client)
{
    g_autoptr(json_t) properties = NULL;
    if (!client_json(client)) {
        printf("vmctl %s\n", PROJECT_VERSION);
        (void) fflush(stdout);
    }
    int r = json_get_properties(client, NULL, &properties);
    if (r != EXIT_DONE)
        return r;
    const char *vmd = json_get_string(properties, "Version");
    if (client_json(client)) {
        g_autoptr(json_t) object = json_pack("{ss ss}", "vmctl", PROJECT_VERSION, "vmd", vmd);
        json_print(client, object);
    } else {
        printf("vmd %s\n", vmd);
    }
    return EXIT_DONE;
}
