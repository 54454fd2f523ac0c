/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A network's start and stop, step by step:
 *
 *     begin       settings, plan, record, bridge, its addresses, forwarding    no waiting; firewalld is told, nobody waits for it
 *     on_rules    the firewall has the network                                 in a thread
 *     on_server   dnsmasq has its ports                                        systemd's job
 *
 * The record is written before the bridge is made, so that what a vmd that was killed left behind is known. A failure takes
 * away what the steps before it made. The stop goes the same way back. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firewalld.h"
#include "link.h"
#include "manager.h"
#include "port.h"
#include "resolve.h"
#include "sysctl.h"

static void begin(Network *network, bool keep);

static void add_waiter(GArray *waiters, NetworkDone done, void *userdata)
{
    NetworkWaiter waiter = {.done = done, .userdata = userdata};
    if (done)
        g_array_append_val(waiters, waiter);
}

/* Each may begin another start, so the list is taken first. */
static void tell(GArray **waiters, const Error *error)
{
    g_autoptr(GArray) told = *waiters;
    *waiters = g_array_new(FALSE, FALSE, sizeof(NetworkWaiter));
    for (guint i = 0; i < told->len; i++) {
        const NetworkWaiter *waiter = &g_array_index(told, NetworkWaiter, i);
        waiter->done(error, waiter->userdata);
    }
}

static void on_unneeded(const Error *error, void *userdata)
{
}

/* By its name: the record may be older than the bridge. */
static void remove_bridge(Network *network)
{
    Links *links = network->manager->links;
    const char *name = network->run->bridge;
    const struct ether_addr mac = network_bridge_mac(network);
    g_autoptr(Error) error = NULL;
    Link link;
    if (links_get(links, name, &link) < 0)
        return;
    if (!g_str_has_prefix(link.alias, LINK_ALIAS_BRIDGE))
        links_remove_unfinished(links, name, "bridge", &mac);
    else if (!links_remove_bridge(links, link.index, &error)) {
        g_autofree char *message = error_message(error);
        g_warning("%s", message);
    }
}

void network_take_away(Network *network)
{
    NetworkRun *run = network->run;
    g_autofree char *dir = network_dir(network);
    if (run->mode != NETWORK_BRIDGE)
        remove_bridge(network);
    firewalld_remove(network);
    /* The record goes last: what is left before that is found by it. */
    if (run->dhcp)
        network_server_remove_files(network);
    dirs_remove(dir);
    g_clear_pointer(&network->run, network_run_free);
}

/* ---- start ---- */

static void started(Network *network)
{
    g_autoptr(Error) error = NULL;
    network_set_state(network, NETWORK_RUNNING, NULL);
    (void) network_write_record(network, &error);
    network_watch_leases(network);
    network_server_update(network);
    resolve_link(network);
    tell(&network->starters, NULL);
    network_check_wanted(network);
}

static void failed(Network *network, const Error *error)
{
    g_autofree char *message = error_message(error);
    g_autoptr(Error) copy = error_copy(error);
    if (network->run) {
        if (network->run->dhcp)
            network_server_stop(network, on_unneeded, NULL);
        network_take_away(network);
    }
    network_set_state(network, NETWORK_FAILED, message);
    networks_apply_rules(network->manager, NULL, NULL);
    tell(&network->starters, copy);
    manager_check_idle(network->manager);
}

static void on_server(const Error *error, void *userdata)
{
    Network *network = userdata;
    if (error)
        return failed(network, error);
    started(network);
}

static void on_rules(const Error *error, void *userdata)
{
    Network *network = userdata;
    if (error)
        return failed(network, error);
    if (network->run->dhcp)
        network_server_start(network, on_server, network);
    else
        started(network);
}

static bool has_family(const NetworkRun *run, int family)
{
    for (guint i = 0; i < run->addresses->len; i++)
        if (g_array_index(run->addresses, Address, i).family == family)
            return true;
    return false;
}

/* Guests reach the host's own forwards by 127.0.0.1 from the host only with route_localnet; rules.c keeps guests off that net. */
static bool set_sysctls(const NetworkRun *run, Error **ret_error)
{
    static const int families[] = {AF_INET, AF_INET6};
    if (run->mode == NETWORK_ISOLATED)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        if (has_family(run, families[i]) && !sysctl_enable_forwarding(families[i], ret_error))
            return false;
    g_autofree char *localnet = g_strdup_printf("net/ipv4/conf/%s/route_localnet", run->bridge);
    (void) sysctl_write(localnet, "1");
    return true;
}

static bool make_bridge(Network *network, Error **ret_error)
{
    NetworkRun *run = network->run;
    g_autofree char *alias = g_strconcat(LINK_ALIAS_BRIDGE, network->name, NULL);
    const BridgeSpec spec = {
        .name = run->bridge,
        .alias = alias,
        .mac = network_bridge_mac(network),
        .mtu = run->mtu,
        .addresses = (const Address *) run->addresses->data,
        .n_addresses = run->addresses->len,
    };
    return links_add_bridge(network->manager->links, &spec, &run->index, ret_error);
}

static bool make_all(Network *network, const Settings *settings, Error **ret_error)
{
    g_autofree char *dir = network_dir(network);
    network->run = network_plan(network, settings, ret_error);
    if (!network->run)
        return false;
    dirs_remove(dir);
    if (mkdir(dir, 0755) < 0)
        return error_set_errno(ret_error, errno, dir, "the run-time folder cannot be made");
    if (!network_write_record(network, ret_error))
        return false;
    if (network->run->mode == NETWORK_BRIDGE)
        return true;
    return make_bridge(network, ret_error) && set_sysctls(network->run, ret_error) && network_write_record(network, ret_error) &&
        (!network->run->dhcp || network_server_write(network, ret_error));
}

static void begin(Network *network, bool keep)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(Settings) settings = network_load_settings(network, &error);
    network_set_state(network, NETWORK_STARTING, NULL);
    if (!settings || !make_all(network, settings, &error))
        return failed(network, error);
    network->run->kept |= keep;
    if (network->run->mode == NETWORK_BRIDGE)
        return started(network);
    firewalld_add(network);
    networks_apply_rules(network->manager, on_rules, network);
}

void network_start(Network *network, bool keep, NetworkDone done, void *userdata)
{
    if (network->run && keep)
        network->run->kept = true;
    if (network->state == NETWORK_RUNNING) {
        if (keep)
            (void) network_write_record(network, NULL);
        done(NULL, userdata);
        return;
    }
    add_waiter(network->starters, done, userdata);
    /* One that is stopping begins again when it has stopped. */
    if (network->state == NETWORK_STOPPED || network->state == NETWORK_FAILED)
        begin(network, keep);
}

void network_start_forget(Network *network, void *userdata)
{
    for (guint i = network->starters->len; i > 0; i--)
        if (g_array_index(network->starters, NetworkWaiter, i - 1).userdata == userdata)
            g_array_remove_index(network->starters, i - 1);
}

/* ---- stop ---- */

static void stopped(Network *network)
{
    network_take_away(network);
    network_set_state(network, NETWORK_STOPPED, NULL);
    networks_apply_rules(network->manager, NULL, NULL);
    tell(&network->stoppers, NULL);
    if (network->starters->len > 0)
        begin(network, false);
    else
        manager_settle_network(network->manager, network);
    manager_check_idle(network->manager);
}

static void on_server_stopped(const Error *error, void *userdata)
{
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("%s", message);
    }
    stopped(userdata);
}

void network_stop(Network *network, NetworkDone done, void *userdata)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *thing = g_strdup_printf("Network \"%s\"", network->name);
    unsigned ports = network_count_ports(network);
    if (!network->run)
        error_set(&error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    else if (network->state == NETWORK_STARTING)
        error_set(&error, ERROR_BUSY, thing, NULL, "it is starting");
    else if (ports > 0)
        error_set(&error, ERROR_IN_USE, thing, "'vmctl network show' says by whom", "it is used by %u interface%s", ports, ports == 1 ? "" : "s");
    if (error) {
        if (done)
            done(error, userdata);
        return;
    }
    add_waiter(network->stoppers, done, userdata);
    if (network->state == NETWORK_STOPPING)
        return;
    network_set_state(network, NETWORK_STOPPING, NULL);
    (void) network_write_record(network, NULL);
    network->run->lease_watch = sd_event_source_disable_unref(network->run->lease_watch);
    if (network->run->dhcp)
        network_server_stop(network, on_server_stopped, network);
    else
        stopped(network);
}
