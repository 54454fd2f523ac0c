/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The record of a port: what a vmd that comes later needs for its rules and its name. */

#include "manager.h"
#include "port.h"

#define GROUP "Port"

static char *record_path(const Manager *manager, const char *link)
{
    return g_build_filename(manager->dirs->ports, link, NULL);
}

bool port_write_record(const Port *port, Error **ret_error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *path = record_path(port->manager, port->link), *mac = mac_to_string(&port->mac);
    g_autofree char *address = port->address.family == AF_INET ? address_to_string(&port->address) : NULL;
    g_autoptr(GError) error = NULL;

    if (port->network)
        g_key_file_set_string(record, GROUP, "Network", port->network->name);
    g_key_file_set_string(record, GROUP, "Bridge", port->bridge);
    g_key_file_set_integer(record, GROUP, "Index", port->index);
    g_key_file_set_boolean(record, GROUP, "Macvtap", port->macvtap);
    g_key_file_set_string(record, GROUP, "VM", port->vm);
    g_key_file_set_string(record, GROUP, "Section", port->section);
    g_key_file_set_uint64(record, GROUP, "Owner", port->owner);
    g_key_file_set_string(record, GROUP, "MAC", mac);
    if (address)
        g_key_file_set_string(record, GROUP, "Address", address);
    g_key_file_set_boolean(record, GROUP, "Filter", port->filter);
    g_key_file_set_boolean(record, GROUP, "Isolated", port->isolated);
    g_key_file_set_boolean(record, GROUP, "LinkUp", port->link_up);
    g_key_file_set_uint64(record, GROUP, "ReceiveMax", port->receive_max);
    g_key_file_set_uint64(record, GROUP, "SendMax", port->send_max);
    g_key_file_set_string_list(record, GROUP, "Forwards", (const char *const *) port->forwards->pdata, port->forwards->len);
    if (!g_key_file_save_to_file(record, path, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be written: %s", error->message);
    return true;
}

bool port_read_record(Port *port, const char *link, Error **ret_error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *path = record_path(port->manager, link);
    g_autoptr(GError) error = NULL;
    if (!g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be read: %s", error->message);

    g_autofree char *network = g_key_file_get_string(record, GROUP, "Network", NULL);
    g_autofree char *mac = g_key_file_get_string(record, GROUP, "MAC", NULL);
    g_autofree char *address = g_key_file_get_string(record, GROUP, "Address", NULL);
    g_auto(GStrv) forwards = g_key_file_get_string_list(record, GROUP, "Forwards", NULL, NULL);
    port->link = g_strdup(link);
    port->network = network ? manager_find_network(port->manager, network) : NULL;
    port->bridge = g_key_file_get_string(record, GROUP, "Bridge", NULL);
    port->index = g_key_file_get_integer(record, GROUP, "Index", NULL);
    port->macvtap = g_key_file_get_boolean(record, GROUP, "Macvtap", NULL);
    port->vm = g_key_file_get_string(record, GROUP, "VM", NULL);
    port->section = g_key_file_get_string(record, GROUP, "Section", NULL);
    port->owner = (uid_t) g_key_file_get_uint64(record, GROUP, "Owner", NULL);
    port->filter = g_key_file_get_boolean(record, GROUP, "Filter", NULL);
    port->isolated = g_key_file_get_boolean(record, GROUP, "Isolated", NULL);
    port->link_up = g_key_file_get_boolean(record, GROUP, "LinkUp", NULL);
    port->receive_max = g_key_file_get_uint64(record, GROUP, "ReceiveMax", NULL);
    port->send_max = g_key_file_get_uint64(record, GROUP, "SendMax", NULL);
    for (size_t i = 0; forwards && forwards[i]; i++)
        g_ptr_array_add(port->forwards, g_strdup(forwards[i]));
    if (address && address_parse(address, &port->address) < 0)
        port->address = (Address){.family = AF_UNSPEC};
    if (!port->bridge || !port->vm || !port->section || !mac || mac_parse(mac, &port->mac) < 0 || (network && !(port->network && port->network->run)))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it is not whole");
    return true;
}
