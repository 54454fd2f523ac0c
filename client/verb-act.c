/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start stop kill reboot reset pause resume save discard delete, and what networks and pools have of these: one call an
 * object. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "action.h"
#include "attach.h"
#include "connect.h"
#include "json.h"
#include "name.h"
#include "report.h"
#include "sections.h"
#include "terminal.h"
#include "verb.h"
#include "volume.h"
#include "watch.h"

#define BARRIER_TIMEOUT (5 * G_USEC_PER_SEC)

/* For vm@.service: it runs as long as the VM does. systemd watches the scope's leader in place of vmctl
 * where it takes a process of another unit for that (the system's does, from root); else vmctl stays. */
static int notify_started(Client *client, const char *name)
{
    g_autoptr(json_t) properties = NULL;
    int r = json_get_properties(client, name, &properties);
    if (r != EXIT_DONE)
        return r;
    uint64_t leader = json_get_number(properties, "Leader");
    if (leader == 0)
        return report("VM \"%s\": it has ended again. See: vmctl%s status %s", name,
                client_hint_options(client), name);

    bool stay = client->user;
    if (stay)
        r = sd_notify(false, "READY=1");
    else
        r = sd_notifyf(false, "READY=1\nMAINPID=%" PRIu64, leader);
    if (r < 0)
        return report_errno(r, "systemd: cannot tell it that \"%s\" runs", name);
    if (stay)
        return attach_wait(client, name);
    (void) sd_notify_barrier(false, BARRIER_TIMEOUT);
    return EXIT_DONE;
}

/* `volumes`: what goes with them. */
static int confirm_delete(Client *client, char **volumes)
{
    if (client->yes || client->quiet || !terminal_is_interactive())
        return EXIT_DONE;
    g_autofree char *names = g_strjoinv("\", \"", client->arguments), *disks = g_strjoinv("\", \"", volumes);
    g_autofree char *end = *volumes ? g_strdup_printf(", and \"%s\" with all that is there?", disks) : g_strconcat("?", client_kind(client)->stays, NULL);
    if (terminal_confirm(false, "Forget \"%s\" and delete %s settings%s", names, client->n_arguments > 1 ? "their" : "its", end))
        return EXIT_DONE;
    note(client, "Nothing was deleted.");
    return EXIT_FAILED;
}

/* The volumes that the VMs write to, each once. The caller frees *ret with g_strfreev. */
static int find_volumes(Client *client, char ***ret)
{
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func(g_free);
    int r = EXIT_DONE;
    for (size_t i = 0; client->with_volumes && i < client->n_arguments && r == EXIT_DONE; i++) {
        g_autoptr(json_t) settings = NULL;
        const char *section;
        json_t *keys;
        r = sections_get_settings(client, client->arguments[i], &settings);
        json_object_foreach(settings, section, keys)
        {
            const char *source = json_get_string(keys, "Source");
            if (sections_is_written_disk(section, keys) && name_split_source(source, NULL, NULL) &&
                !g_ptr_array_find_with_equal_func(volumes, source, g_str_equal, NULL))
                g_ptr_array_add(volumes, g_strdup(source));
        }
    }
    g_ptr_array_add(volumes, NULL);
    *ret = (char **) g_ptr_array_steal(volumes, NULL);
    return r;
}

static int delete(Client *client, const Action *action)
{
    g_auto(GStrv) volumes = NULL;
    int r = find_volumes(client, &volumes), k;
    if (r == EXIT_DONE)
        r = confirm_delete(client, volumes);
    if (r != EXIT_DONE)
        return r;
    r = action_perform(client, action, client->arguments);
    /* Of a VM that could not be deleted, vmd refuses to. */
    k = *volumes ? volume_delete(client, volumes, 0) : EXIT_DONE;
    return r != EXIT_DONE ? r : k;
}

int verb_act(Client *client)
{
    const char *space = strchr(client->verb->name, ' ');
    const Action *action = action_find(client_kind(client), space ? space + 1 : client->verb->name);

    if (client->attach && client->n_arguments > 1)
        return report_usage("--attach: one terminal takes one VM only");
    if (client->wait_for && client->no_block)
        return report_usage("--wait: it waits, and --no-block does not");
    if (action->confirm)
        return delete(client, action);
    int r = action_perform(client, action, client->arguments);
    if (r != EXIT_DONE || strcmp(action->verb, "start") != 0)
        return r;
    if (client->wait_for && (r = watch_for(client, client->arguments, client->wait_for)) != EXIT_DONE)
        return r;
    if (client->notify)
        return notify_started(client, client->arguments[0]);
    return client->attach ? attach_console(client, client->arguments[0]) : EXIT_DONE;
}
