/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "connect.h"

#include <errno.h>
#include <stdarg.h>

#include "kind.h"
#include "name.h"
#include "polkit-agent.h"
#include "report.h"
#include "verb.h"

static int open_bus(Client *client)
{
    if (client->host)
        return sd_bus_open_system_remote(&client->bus, client->host);
    if (client->machine)
        return client->user ? sd_bus_open_user_machine(&client->bus, client->machine)
                            : sd_bus_open_system_machine(&client->bus, client->machine);
    return client->user ? sd_bus_open_user(&client->bus) : sd_bus_open_system(&client->bus);
}

static int report_no_bus(const Client *client, int r)
{
    if (client->host)
        return report_errno(r, "host \"%s\": no connection to its system bus", client->host);
    if (client->machine && r == -EHOSTDOWN)
        return report("container \"%s\": it does not run, or systemd-machined does not know it. See: "
                      "machinectl list",
                client->machine);
    if (client->machine)
        return report_errno(r, "container \"%s\": no connection to its bus", client->machine);
    if (client->user && r == -ENOMEDIUM)
        return report(
                "the session bus: DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR are not set. Log in as that "
                "user, or try: machinectl shell USER@");
    if (r == -ENOENT || r == -ECONNREFUSED)
        return report("the %s bus: it does not run. See: systemctl %sstatus dbus.socket",
                client->user ? "session" : "system", client->user ? "--user " : "");
    return report_errno(r, "the %s bus: no connection", client->user ? "session" : "system");
}

int client_connect(Client *client)
{
    if (client->bus)
        return EXIT_DONE;
    int r = open_bus(client);
    if (r < 0)
        return report_no_bus(client, r);
    if (!client->no_ask_password) {
        (void) sd_bus_set_allow_interactive_authorization(client->bus, true);
        if (client->verb && client->verb->flags & VERB_ACTS && client_is_local(client) && !client->user)
            polkit_agent_start();
    }
    return EXIT_DONE;
}

int client_new_call(Client *client, const char *name, const char *interface, const char *method,
        sd_bus_message **ret_message)
{
    g_autofree char *path = name ? kind_object(client_kind(client), name) : g_strdup(MANAGER_PATH);
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_new_method_call(client->bus, ret_message, BUS_NAME, path, interface, method);
    return r < 0 ? report_errno(r, "%s: cannot make the call", method) : EXIT_DONE;
}

int client_send(Client *client, const char *name, sd_bus_message *message, sd_bus_message **ret_reply)
{
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call(client->bus, message, CALL_TIMEOUT, &error, ret_reply);
    return r < 0 ? report_bus(client, name, &error, r) : EXIT_DONE;
}

int client_call(Client *client, const char *name, const char *interface, const char *method,
        sd_bus_message **ret_reply, const char *types, ...)
{
    g_autoptr(sd_bus_message) message = NULL;
    g_autoptr(Error) error = NULL;

    if (name && !name_check(name, &error))
        return report_error(error);
    int r = client_new_call(client, name, interface, method, &message);
    if (r != EXIT_DONE)
        return r;
    if (types && *types) {
        va_list ap;
        va_start(ap, types);
        r = sd_bus_message_appendv(message, types, ap);
        va_end(ap);
        if (r < 0)
            return report_errno(r, "%s: cannot make the call", method);
    }
    return client_send(client, name, message, ret_reply);
}

int client_get_all(Client *client, const char *name, const char *interface, sd_bus_message **ret_reply)
{
    return client_call(client, name, "org.freedesktop.DBus.Properties", "GetAll", ret_reply, "s", interface);
}
