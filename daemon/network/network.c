/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "network.h"

#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "manager.h"
#include "name.h"
#include "port.h"

#define NETWORK_INTERFACE "org.vmd1.Network"

static const char *const modes[_NETWORK_MODE_MAX] = {
    [NETWORK_NAT] = "nat",
    [NETWORK_ROUTED] = "routed",
    [NETWORK_ISOLATED] = "isolated",
    [NETWORK_BRIDGE] = "bridge",
};

static const char *const states[_NETWORK_STATE_MAX] = {
    [NETWORK_STOPPED] = "stopped",
    [NETWORK_STARTING] = "starting",
    [NETWORK_RUNNING] = "running",
    [NETWORK_STOPPING] = "stopping",
    [NETWORK_FAILED] = "failed",
};

const char *network_mode_to_string(NetworkMode mode)
{
    return modes[mode];
}

NetworkMode network_mode_from_string(const char *s)
{
    for (NetworkMode mode = 0; s && mode < _NETWORK_MODE_MAX; mode++)
        if (g_str_equal(s, modes[mode]))
            return mode;
    return NETWORK_NAT;
}

const char *network_state_to_string(NetworkState state)
{
    return states[state];
}

Network *network_new(Manager *manager, const char *name)
{
    Network *network = g_new0(Network, 1);
    network->manager = manager;
    network->name = g_strdup(name);
    network->starters = g_array_new(FALSE, FALSE, sizeof(NetworkWaiter));
    network->stoppers = g_array_new(FALSE, FALSE, sizeof(NetworkWaiter));
    return network;
}

void network_free(Network *network)
{
    if (!network)
        return;
    network_server_forget(network, network);
    networks_forget_rules(network->manager, network);
    network_run_free(network->run);
    g_array_unref(network->starters);
    g_array_unref(network->stoppers);
    g_free(network->name);
    g_free(network->problem);
    g_free(network->description);
    g_free(network->message);
    g_free(network);
}

char *network_settings_path(const Network *network)
{
    return g_strdup_printf("%s/%s.net", network->manager->dirs->settings, network->name);
}

char *network_object_path(const Network *network)
{
    return name_to_network_path(network->name);
}

char *network_unit(const Network *network)
{
    return name_to_network_unit(network->name);
}

char *network_dir(const Network *network)
{
    return g_build_filename(network->manager->dirs->networks, network->name, NULL);
}

struct ether_addr network_bridge_mac(const Network *network)
{
    g_autofree char *seed = g_strconcat("bridge ", network->name, NULL);
    return mac_derive(seed);
}

Settings *network_load_settings(const Network *network, Error **ret_error)
{
    g_autofree char *path = network_settings_path(network);
    return settings_load(&network_schema, path, ret_error);
}

bool network_check_text(const Network *network, const char *text, const char *origin, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_parse_partial(&network_schema, text, strlen(text), origin, ret_error);
    return settings && network_check_settings(network->name, settings, ret_error);
}

void network_read_settings(Network *network)
{
    g_autofree char *path = network_settings_path(network);
    g_autoptr(Error) error = NULL;
    struct stat st;
    g_clear_pointer(&network->problem, g_free);
    network->defined = lstat(path, &st) == 0;
    if (!network->defined)
        return;
    g_autoptr(Settings) settings = settings_load(&network_schema, path, &error);
    if (!settings || !network_check_settings(network->name, settings, &error)) {
        network->problem = error_message(error);
        return;
    }
    g_free(network->description);
    network->description = g_strdup(settings_get_string(settings, "Network", "Description"));
    network->autostart = settings_get_bool(settings, "Network", "Autostart");
    network->mode = network_mode_from_string(settings_get_string(settings, "Network", "Mode"));
}

void network_changed(Network *network, const char *property, ...)
{
    g_autofree char *path = network_object_path(network);
    va_list ap;
    va_start(ap, property);
    manager_emit_changed(network->manager, path, NETWORK_INTERFACE, property, ap);
    va_end(ap);
}

void network_set_state(Network *network, NetworkState state, const char *message)
{
    if (network->state == state && g_strcmp0(network->message, message) == 0)
        return;
    network->state = state;
    g_free(network->message);
    network->message = g_strdup(message);
    if (state != NETWORK_STARTING && state != NETWORK_STOPPING)
        (void) sd_journal_send("MESSAGE=Network %s: %s%s%s", network->name, states[state], message ? ": " : "", message ?: "",
            "PRIORITY=%i", state == NETWORK_FAILED ? LOG_ERR : LOG_INFO, "NETWORK=%s", network->name, "NETWORK_STATE=%s",
            states[state], NULL);
    network_changed(network, "State", "StateMessage", "Bridge", "Addresses", "Domain", NULL);
}

bool network_is_active(const Network *network)
{
    return network->run != NULL;
}

unsigned network_count_ports(const Network *network)
{
    unsigned n = 0;
    for (guint i = 0; i < network->manager->ports->len; i++)
        n += ((const Port *) network->manager->ports->pdata[i])->network == network;
    return n;
}

void network_check_wanted(Network *network)
{
    if (network->state != NETWORK_RUNNING || network->run->kept || network_count_ports(network) > 0)
        return;
    network_stop(network, NULL, NULL);
}
