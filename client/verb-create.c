/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create, run, set: settings from options, of a VM or a network. */
#include <string.h>
#include <sys/random.h>

#include "action.h"
#include "attach.h"
#include "changes.h"
#include "connect.h"
#include "image.h"
#include "json.h"
#include "name.h"
#include "os.h"
#include "ova.h"
#include "report.h"
#include "sections.h"
#include "verb.h"

/* METHOD(name, settings), or METHOD(settings) on the object itself. */
static int call_with_changes(
        Client *client, const char *object, const char *method, const char *name, const Changes *changes)
{
    g_autoptr(sd_bus_message) message = NULL;
    const char *interface = object ? client_kind(client)->interface : MANAGER_INTERFACE;
    int r = client_new_call(client, object, interface, method, &message);
    if (r != EXIT_DONE)
        return r;
    r = name ? sd_bus_message_append(message, "s", name) : 0;
    if (r >= 0)
        r = changes_append(changes, message);
    if (r < 0)
        return report_errno(r, "%s: cannot make the call", method);
    return client_send(client, object, message, NULL);
}

static int check_name(const char *name)
{
    g_autoptr(Error) error = NULL;
    return name_check(name, &error) ? EXIT_DONE : report_error(error);
}

/* CreateVM, RunVM or CreateNetwork, with what the options say. */
static int make(Client *client, const char *method, const char *name)
{
    int r = check_name(name);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(Changes) changes = changes_new(client, NULL);
    return changes ? call_with_changes(client, NULL, method, name, changes) : EXIT_USAGE;
}

int verb_create(Client *client)
{
    const char *name = client->arguments[0];
    g_autofree char *volume = NULL, *empty = NULL;
    g_autoptr(GPtrArray) volumes = g_ptr_array_new_with_free_func(g_free), texts = g_ptr_array_new_with_free_func(g_free);
    int r = check_name(name);
    if (r == EXIT_DONE)
        r = ova_make_machine(client, name, volumes, texts);
    if (r == EXIT_DONE)
        r = image_make_disk(client, name, &volume);
    if (r == EXIT_DONE)
        r = os_put_settings(client, name, texts, &empty);
    if (r == EXIT_DONE)
        r = make(client, client_kind(client)->create, name);
    if (r != EXIT_DONE && empty)
        image_remove_disk(client, empty);
    if (r != EXIT_DONE && volume)
        image_remove_disk(client, volume);
    for (guint i = 0; r != EXIT_DONE && i < volumes->len; i++)
        image_remove_disk(client, volumes->pdata[i]);
    if (r != EXIT_DONE)
        return r;

    g_autoptr(json_t) properties = NULL;
    if (!client->quiet && json_get_properties(client, name, &properties) == EXIT_DONE)
        printf("Created %s.\n", json_get_string(properties, "SettingsFile"));
    (void) fflush(stdout);
    return client->now ? action_perform(client, action_find(client_kind(client), "start"), client->arguments)
                       : EXIT_DONE;
}

/* "run-1a2b3c4d" */
static char *make_name(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = g_random_int();
    return g_strdup_printf("run-%08x", number);
}

int verb_run(Client *client)
{
    g_autofree char *name = client->n_arguments > 0 ? g_strdup(client->arguments[0]) : make_name();
    if (client->attach && client->wait)
        return report_usage("--attach and --wait cannot both be given");
    int r = make(client, "RunVM", name);
    if (r != EXIT_DONE)
        return r;
    if (!client->quiet) {
        g_autofree char *scope = name_to_scope(name);
        fprintf(stderr, "Running \"%s\" as %s.\n", name, scope);
    }
    if (client->attach)
        return attach_console(client, name);
    return client->wait ? attach_wait(client, name) : EXIT_DONE;
}

int verb_set(Client *client)
{
    const char *name = client->arguments[0];
    g_auto(GStrv) taken = NULL;
    int r = check_name(name);
    if (r == EXIT_DONE && changes_add_devices(client))
        r = sections_get(client, name, &taken);
    if (r != EXIT_DONE)
        return r;

    g_autoptr(Changes) changes = changes_new(client, (const char *const *) taken);
    if (!changes)
        return EXIT_USAGE;
    if (changes_is_empty(changes))
        return report_usage("set: nothing is to be changed; give options, or -p SECTION.KEY=VALUE");
    r = call_with_changes(client, name, "SetSettings", NULL, changes);
    if (r == EXIT_DONE && !changes_are_live(changes))
        note_restart(client, name);
    return r;
}
