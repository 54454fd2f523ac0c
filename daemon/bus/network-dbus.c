/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vmd1.Network on the bus. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file-methods.h"
#include "lease.h"
#include "method.h"
#include "settings-dbus.h"
#include "port.h"

#define NETWORK_PREFIX "/org/vmd1/network"

static Network *network_of_path(Manager *manager, const char *path)
{
    g_autofree char *name = NULL;
    return sd_bus_path_decode(path, NETWORK_PREFIX, &name) > 0 ? manager_find_network(manager, name) : NULL;
}

static void *find(Manager *manager, const char *path, Error **ret_error)
{
    Network *network = network_of_path(manager, path);
    if (!network)
        error_set(ret_error, ERROR_NO_SUCH_NETWORK, path, "See 'vmctl network list'", "there is no such network");
    return network;
}

static void details(Manager *manager, sd_bus_message *m, AccessDetails *details)
{
    const Network *network = network_of_path(manager, sd_bus_message_get_path(m));
    if (network)
        details->network = g_strdup(network->name);
}

/* ---- methods ---- */

static bool method_start(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Network *network = object;
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
    if (network->state == NETWORK_RUNNING && network->run->kept)
        return error_set(ret_error, ERROR_ALREADY_RUNNING, thing, NULL, "it runs already");
    network_start(network, true, reply_done, reply_later(manager, m));
    return true;
}

static bool method_stop(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    network_stop(object, reply_done, reply_later(manager, m));
    return true;
}

static bool method_delete(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Network *network = object;
    g_autofree char *path = network_settings_path(network), *thing = g_strdup_printf("Network \"%s\"", network->name);
    unsigned ports = network_count_ports(network);
    if (ports > 0)
        return error_set(ret_error, ERROR_IN_USE, thing, "'vmctl network show' says by whom", "it is used by %u interface%s", ports, ports == 1 ? "" : "s");
    if (network->run)
        return error_set(ret_error, ERROR_BUSY, thing, "Stop it first", "it is %s", network_state_to_string(network->state));
    if (!settings_delete(path, ret_error))
        return false;
    network->defined = false;
    manager_settle_network(manager, network);
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

static bool check_text(void *object, const char *text, const char *origin, Error **ret_error)
{
    return network_check_text(object, text, origin, ret_error);
}

static void written(void *object)
{
    const Network *network = object;
    manager_read_network_file(network->manager, network->name);
}

static SettingsFile file_of(Network *network)
{
    return (SettingsFile){
        .schema = &network_schema,
        .path = network_settings_path(network),
        .object = network,
        .check = check_text,
        .written = written,
    };
}

FILE_METHODS(file_of)

static int append_lease(sd_bus_message *reply, const Network *network, const Lease *lease)
{
    static const struct ether_addr none;
    bool known = memcmp(&lease->mac, &none, sizeof none) != 0;
    const Port *port = known ? port_find_by_mac(network->manager, &lease->mac, network) : NULL;
    g_autofree char *mac = known ? mac_to_string(&lease->mac) : g_strdup(""), *address = address_to_string_bare(&lease->address);
    return sd_bus_message_append(reply, "(ssst)", mac, address, port ? port->vm : lease->name, lease->expires * G_USEC_PER_SEC);
}

static bool method_get_leases(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const Network *network = object;
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
    g_autoptr(sd_bus_message) reply = NULL;
    if (!network->run)
        return error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    int r = reply_array_new(m, "(ssst)", &reply);
    for (guint i = 0; r >= 0 && i < network->run->leases->len; i++)
        r = append_lease(reply, network, &g_array_index(network->run->leases, Lease, i));
    return reply_array_send(reply, r, ret_error);
}

static int append_port(sd_bus_message *reply, const Port *port)
{
    g_autofree char *mac = mac_to_string(&port->mac);
    g_autofree char *address = port->address.family == AF_INET ? address_to_string_bare(&port->address) : g_strdup("");
    return sd_bus_message_append(reply, "(ssss)", port->vm, port->link, mac, address);
}

static bool method_get_ports(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "(ssss)", &reply);
    for (guint i = 0; r >= 0 && i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (port->network == object)
            r = append_port(reply, port);
    }
    return reply_array_send(reply, r, ret_error);
}

/* ---- properties ---- */

#define GET(name)                                                                                                      \
    static int name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, \
        void *userdata, sd_bus_error *error)

#define GET_STRING(name, expression)                                                                                   \
    GET(name)                                                                                                          \
    {                                                                                                                  \
        const Network *network = userdata;                                                                             \
        return sd_bus_message_append(reply, "s", (expression) ?: "");                                                  \
    }
GET_STRING(get_description, network->description)
GET_STRING(get_mode, network_mode_to_string(network->run ? network->run->mode : network->mode))
GET_STRING(get_state, network_state_to_string(network->state))
GET_STRING(get_message, network->message)
GET_STRING(get_bridge, network->run ? network->run->bridge : NULL)
GET_STRING(get_domain, network->run ? network->run->domain : NULL)
GET_STRING(get_problem, network->problem)

GET(get_addresses)
{
    const Network *network = userdata;
    int r = sd_bus_message_open_container(reply, 'a', "s");
    for (guint i = 0; r >= 0 && network->run && i < network->run->addresses->len; i++) {
        g_autofree char *address = address_to_string(&g_array_index(network->run->addresses, Address, i));
        r = sd_bus_message_append(reply, "s", address);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

GET(get_unit)
{
    g_autofree char *unit = network_unit(userdata);
    return sd_bus_message_append(reply, "s", unit);
}

GET(get_settings_file)
{
    g_autofree char *file = network_settings_path(userdata);
    return sd_bus_message_append(reply, "s", file);
}

GET(get_autostart)
{
    return sd_bus_message_append(reply, "b", ((const Network *) userdata)->autostart);
}

GET(get_ports)
{
    return sd_bus_message_append(reply, "u", network_count_ports(userdata));
}

static bool check_settings(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = settings_changes_read(&network_schema, m, ret_error);
    return changes != NULL;
}

static bool check_file(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *expected, *text;
    return file_read_texts(m, &expected, &text, ret_error);
}

static const Method methods[] = {
    {"Start", "", "", "", ACTION_MANAGE_NETWORKS, NULL, method_start},
    {"Stop", "", "", "", ACTION_MANAGE_NETWORKS, NULL, method_stop},
    {"Delete", "", "", "", ACTION_MANAGE_NETWORKS, NULL, method_delete},
    {"GetSettings", "", "a{sa{sv}}", SD_BUS_PARAM(settings), ACTION_VIEW, NULL, method_get_settings},
    {"SetSettings", "a{sa{sv}}", "", SD_BUS_PARAM(settings), ACTION_MANAGE_NETWORKS, check_settings, method_set_settings},
    {"GetFiles", "", "a(ss)", SD_BUS_PARAM(files), ACTION_VIEW, NULL, method_get_files},
    {"SetFile", "ss", "", SD_BUS_PARAM(expected) SD_BUS_PARAM(text), ACTION_MANAGE_NETWORKS, check_file, method_set_file},
    {"GetLeases", "", "a(ssst)", SD_BUS_PARAM(leases), ACTION_VIEW, NULL, method_get_leases},
    {"GetPorts", "", "a(ssss)", SD_BUS_PARAM(ports), ACTION_VIEW, NULL, method_get_ports},
    {NULL},
};

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Network, name), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Description", "s", get_description, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Mode", "s", get_mode, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StateMessage", "s", get_message, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Bridge", "s", get_bridge, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Addresses", "as", get_addresses, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Domain", "s", get_domain, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Unit", "s", get_unit, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Autostart", "b", get_autostart, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Ports", "u", get_ports, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SettingsFile", "s", get_settings_file, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Problem", "s", get_problem, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

const Interface network_interface = {
    .name = "org.vmd1.Network",
    .methods = methods,
    .properties = properties,
    .find = find,
    .details = details,
};
