/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tap: a port on a network for a QEMU that the caller runs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "polkit-agent.h"
#include "report.h"
#include "verb.h"

static int append_options(const Client *client, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && client->mac)
        r = sd_bus_message_append(m, "{sv}", "mac", "s", client->mac);
    if (r >= 0 && client->port_name)
        r = sd_bus_message_append(m, "{sv}", "name", "s", client->port_name);
    if (r >= 0 && client->forwards) {
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", "forward");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'a', "s");
        for (guint i = 0; r >= 0 && i < client->forwards->len; i++)
            r = sd_bus_message_append(m, "s", client->forwards->pdata[i]);
        for (int i = 0; r >= 0 && i < 3; i++)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Replaces @FD@ and @MAC@. */
static char *fill_in(const char *word, const char *fd, const char *mac)
{
    g_autoptr(GString) text = g_string_new(word);
    g_string_replace(text, "@FD@", fd, 0);
    g_string_replace(text, "@MAC@", mac, 0);
    return g_string_free(g_steal_pointer(&text), false);
}

/* Returns only when it failed. The tap goes with the last process that has it open. */
static int execute(Client *client, int tap, const char *link, const char *mac)
{
    g_autofree char *fd = g_strdup_printf("%d", tap);
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    for (char **word = client->arguments + 1; *word; word++)
        g_ptr_array_add(words, fill_in(*word, fd, mac));
    g_ptr_array_add(words, NULL);
    if (setenv("VMD_TAP_FD", fd, true) < 0 || setenv("VMD_TAP_MAC", mac, true) < 0 ||
            setenv("VMD_TAP_NAME", link, true) < 0)
        return report_errno(errno, "the environment: it cannot be set");
    polkit_agent_stop();
    (void) execvp(words->pdata[0], (char **) words->pdata);
    return report_errno(errno, "%s: it cannot be run", (const char *) words->pdata[0]);
}

int verb_tap(Client *client)
{
    g_autoptr(sd_bus_message) message = NULL, reply = NULL;
    const char *network = client->arguments[0], *link, *mac;
    int fd;

    if (!client_is_local(client))
        return report_usage("tap: a tap of another machine cannot be handed over; run vmctl there");
    if (client->user)
        return report_usage("tap: a user's own vmd has no networks; leave --user out, the system's has them");
    int r = client_new_call(client, NULL, MANAGER_INTERFACE, "OpenTap", &message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(message, "s", network);
    if (r >= 0)
        r = append_options(client, message);
    if (r < 0)
        return report_errno(r, "OpenTap: cannot make the call");
    r = client_send(client, NULL, message, &reply);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "hss", &fd, &link, &mac);
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");

    /* A copy that the command inherits; the message's own is closed by exec. */
    int tap = fcntl(fd, F_DUPFD, 3);
    if (tap < 0)
        return report_errno(errno, "Network \"%s\": its tap cannot be handed on", network);
    r = execute(client, tap, link, mac);
    (void) close(tap);
    return r;
}
