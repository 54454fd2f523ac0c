/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager-networks.h"

#include <errno.h>

#include "cleanup.h"
#include "doctor.h"
#include "file-methods.h"
#include "name.h"
#include "settings-dbus.h"

/* ---- before anybody is asked ---- */

bool check_network(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    if (sd_bus_message_read(m, "s", &name) < 0)
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read");
    return device_name_is_valid(name) || error_set(ret_error, ERROR_INVALID_NAME, NULL,
        "Allowed are 1 to 32 characters from A-Z, a-z, 0-9, \"_\" and \"-\", the first one a letter or a digit",
        "\"%.64s\" cannot be the name of a network", name);
}

bool check_new_network(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = check_network(m, ret, ret_error) ? settings_changes_read(&network_schema, m, ret_error) : NULL;
    return changes != NULL;
}

/* ---- methods ---- */

static bool check_text(void *object, const char *text, const char *origin, Error **ret_error)
{
    return network_check_text(object, text, origin, ret_error);
}

bool method_create_network(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", name);
    if (manager->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Ask the administrator for one: 'vmctl network create'", "a user's vmd has no networks of its own");
    if (manager_find_network(manager, name))
        return error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
    Network wanted = {.manager = manager, .name = (char *) name};
    g_auto(SettingsFile) file = {.schema = &network_schema, .path = network_settings_path(&wanted), .object = &wanted, .check = check_text};
    if (!file_create(&file, m, thing, ret_error))
        return false;
    manager_read_network_file(manager, name);
    const Network *network = manager_find_network(manager, name);
    if (!network)
        return error_set(ret_error, ERROR_FAILED, file.path, NULL, "it was written but cannot be read back");
    g_autofree char *object_path = network_object_path(network);
    (void) sd_bus_reply_method_return(m, "o", object_path);
    return true;
}

bool method_get_network(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    const Network *network = manager_find_network_or_error(manager, name, ret_error);
    if (!network)
        return false;
    g_autofree char *path = network_object_path(network);
    (void) sd_bus_reply_method_return(m, "o", path);
    return true;
}

bool method_list_networks(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    size_t n;
    g_autofree Network **networks = manager_list_networks(manager, &n);
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "(sssso)", &reply);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        const Network *network = networks[i];
        g_autofree char *path = network_object_path(network);
        r = sd_bus_message_append(reply, "(sssso)", network->name, network_state_to_string(network->state),
            network_mode_to_string(network->run ? network->run->mode : network->mode), network->run ? network->run->bridge : "", path);
    }
    return reply_array_send(reply, r, ret_error);
}

static void on_diagnosis(const GPtrArray *findings, void *userdata)
{
    LaterReply *later = userdata;
    Manager *manager = later->manager;
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(Error) error = NULL;
    if (!findings) {
        error_set(&error, ERROR_CANCELLED, NULL, "Ask again", "vmd has ended meanwhile");
        reply_error(later->message, error);
        reply_later_free(later);
        return;
    }
    int r = reply_array_new(later->message, "(ssss)", &reply);
    for (guint i = 0; r >= 0 && i < findings->len; i++) {
        const Finding *finding = findings->pdata[i];
        r = sd_bus_message_append(reply, "(ssss)", finding->thing, finding_level_to_string(finding->level), finding->text, finding->remedy);
    }
    if (!reply_array_send(reply, r, &error))
        reply_error(later->message, error);
    reply_later_free(later);
    manager_check_idle(manager);
}

bool method_diagnose(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    if (doctor_run(manager, *name ? name : NULL, on_diagnosis, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}
