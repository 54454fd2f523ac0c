/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start stop kill reboot reset pause resume save delete, and what networks and pools have of these: one call an
 * object. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "action.h"
#include "attach.h"
#include "connect.h"
#include "json.h"
#include "report.h"
#include "terminal.h"
#include "verb.h"
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

static int confirm_delete(Client *client)
{
    if (client->yes || client->quiet || !terminal_is_interactive())
        return EXIT_DONE;
    g_autofree char *names = g_strjoinv("\", \"", client->arguments);
    if (terminal_confirm(false, "Forget \"%s\" and delete %s settings?%s", names,
                client->n_arguments > 1 ? "their" : "its",
                client_kind(client)->stays))
        return EXIT_DONE;
    note(client, "Nothing was deleted.");
    return EXIT_FAILED;
}

int verb_act(Client *client)
{
    const char *space = strchr(client->verb->name, ' ');
    const Action *action = action_find(client_kind(client), space ? space + 1 : client->verb->name);

    if (client->attach && client->n_arguments > 1)
        return report_usage("--attach: one terminal takes one VM only");
    if (client->wait_for && client->no_block)
        return report_usage("--wait: it waits, and --no-block does not");
    if (action->confirm) {
        int r = confirm_delete(client);
        if (r != EXIT_DONE)
            return r;
    }
    int r = action_perform(client, action, client->arguments);
    if (r != EXIT_DONE || strcmp(action->verb, "start") != 0)
        return r;
    if (client->wait_for && (r = watch_for(client, client->arguments, client->wait_for)) != EXIT_DONE)
        return r;
    if (client->notify)
        return notify_started(client, client->arguments[0]);
    return client->attach ? attach_console(client, client->arguments[0]) : EXIT_DONE;
}
