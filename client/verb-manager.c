/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cancel, reload, version: vmd itself. */
#include <inttypes.h>
#include <stdio.h>

#include "config.h"
#include "connect.h"
#include "json.h"
#include "report.h"
#include "value.h"
#include "verb.h"

/* By its number. */
static int cancel(Client *client, const char *word)
{
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    uint64_t id;
    if (parse_uint64(word, &id) < 0)
        return report_usage("\"%s\": it is no job's number. See: vmctl%s jobs", word, client_hint_options(client));
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    g_autofree char *path = g_strdup_printf(MANAGER_PATH "/job/%" PRIu64, id);
    r = sd_bus_call_method(client->bus, BUS_NAME, path, JOB_INTERFACE, "Cancel", &error, NULL, NULL);
    if (r < 0 && sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
        return report("Job %s: there is no such job any more. See: vmctl%s jobs", word, client_hint_options(client));
    return r < 0 ? report_bus(client, NULL, &error, r) : EXIT_DONE;
}

int verb_cancel(Client *client)
{
    int first = EXIT_DONE;
    for (size_t i = 0; i < client->n_arguments; i++) {
        int r = cancel(client, client->arguments[i]);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}

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
