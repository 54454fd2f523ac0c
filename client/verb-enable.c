/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* enable, disable: vm@NAME.service, through systemd. */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "action.h"
#include "connect.h"
#include "json.h"
#include "name.h"
#include "report.h"
#include "systemd.h"
#include "verb.h"

/* "vm@web.service" for each name, NULL-terminated; NULL when it has said that one is no name. */
static char **new_units(const Client *client)
{
    g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < client->n_arguments; i++) {
        g_autoptr(Error) error = NULL;
        if (!name_check(client->arguments[i], &error)) {
            (void) report_error(error);
            return NULL;
        }
        g_ptr_array_add(units, name_to_service(client->arguments[i]));
    }
    g_ptr_array_add(units, NULL);
    return (char **) g_ptr_array_steal(units, NULL);
}

/* A symlink is made for any name: one that is no VM's would only show at the next boot. */
static int check_exist(Client *client)
{
    int first = EXIT_DONE;
    for (size_t i = 0; i < client->n_arguments; i++) {
        int r = client_call(client, NULL, MANAGER_INTERFACE, "GetVM", NULL, "s", client->arguments[i]);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}

static int change_unit_files(Client *client, const char *method, char **units, bool enable)
{
    g_autoptr(sd_bus_message) message = NULL, reply = NULL;
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    const char *type, *path, *source;

    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_new_method_call(
            client->bus, &message, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, method);
    if (r >= 0)
        r = sd_bus_message_append_strv(message, units);
    if (r >= 0)
        r = enable ? sd_bus_message_append(message, "bb", false, false)
                   : sd_bus_message_append(message, "b", false);
    if (r >= 0)
        r = sd_bus_call(client->bus, message, CALL_TIMEOUT, &error, &reply);
    if (r < 0) {
        (void) report("systemd: %s", error.message ? error.message : g_strerror(-r));
        return report_exit_code(error.name);
    }
    r = enable ? sd_bus_message_skip(reply, "b") : 0;
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(sss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(sss)", &type, &path, &source)) > 0) {
        if (strcmp(type, "symlink") == 0)
            note(client, "Created symlink %s → %s.", path, source);
        else if (strcmp(type, "unlink") == 0)
            note(client, "Removed %s.", path);
    }
    if (r < 0)
        return report_errno(r, "systemd: cannot read its answer");
    return systemd_call(client, "Reload", NULL, NULL);
}

/* A user's systemd, and all VMs in it, end with the user's last session, and begin with the first (logind.conf(5)). */
static void note_lingering(const Client *client)
{
    const struct passwd *account = client->user && client_is_local(client) ? getpwuid(getuid()) : NULL;
    g_autofree char *path = account ? g_build_filename("/var/lib/systemd/linger", account->pw_name, NULL) : NULL;
    if (path && access(path, F_OK) < 0)
        note(client, "It starts when you log in and ends when you log out. For VMs from boot on: loginctl enable-linger");
}

int verb_enable(Client *client)
{
    g_auto(GStrv) units = new_units(client);
    if (!units)
        return EXIT_USAGE;
    int r = check_exist(client);
    if (r == EXIT_DONE)
        r = change_unit_files(client, "EnableUnitFiles", units, true);
    if (r == EXIT_DONE)
        note_lingering(client);
    return r == EXIT_DONE && client->now ? systemd_run_jobs(client, "StartUnit", units) : r;
}

/* One that was not started by its unit runs on when that is stopped. */
static int stop_others(Client *client)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (size_t i = 0; i < client->n_arguments; i++) {
        g_autoptr(json_t) properties = NULL;
        int r = json_get_properties(client, client->arguments[i], &properties);
        if (r != EXIT_DONE)
            return r;
        if (json_get_number(properties, "Leader") > 0)
            g_ptr_array_add(names, client->arguments[i]);
    }
    if (names->len == 0)
        return EXIT_DONE;
    g_ptr_array_add(names, NULL);
    return action_perform(client, action_find(&kind_vm, "stop"), (char **) names->pdata);
}

int verb_disable(Client *client)
{
    g_auto(GStrv) units = new_units(client);
    if (!units)
        return EXIT_USAGE;
    int r = change_unit_files(client, "DisableUnitFiles", units, false);
    if (r != EXIT_DONE || !client->now)
        return r;
    r = systemd_run_jobs(client, "StopUnit", units);
    return r == EXIT_DONE ? stop_others(client) : r;
}
