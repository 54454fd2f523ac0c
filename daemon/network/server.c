/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The server of addresses and names: dnsmasq, one a network, in vmnet-NAME.service. systemd gives it a user of its own, a
 * sandbox and /run/vmnet-NAME for its leases, and starts it again when it dies; it outlives vmd. One that was stopped vmd starts again. */

#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cleanup.h"
#include "dnsmasq.h"
#include "lease.h"
#include "manager.h"
#include "name.h"
#include "port.h"
#include "service.h"
#include "value.h"

/* dnsmasq writes a lease with several writes. */
#define SETTLE_USEC (50 * 1000)
/* No guest asks for its address that soon after its port is there. */
#define UPDATE_USEC (20 * 1000)
/* The kernel takes away one link after another, and takes its time for each. */
#define LATER_USEC (200 * 1000)
/* How soon one that was stopped is started again: later each time, and soon again after a while of peace. */
#define REVIVE_MIN_USEC (100 * 1000)
#define REVIVE_MAX_USEC (60 * USEC_PER_SEC)

typedef struct ServerCall {
    Network *network;
    ScopeJob *job;
    NetworkDone done;
    void *userdata;
} ServerCall;

static char *lease_dir(const Network *network)
{
    return g_strdup_printf("/run/vmnet-%s", network->name);
}

static char *lease_file(const Network *network)
{
    return g_strdup_printf("/run/vmnet-%s/leases", network->name);
}

static bool write_file(const Network *network, const char *name, const char *text, Error **ret_error)
{
    g_autofree char *dir = network_dir(network), *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be written: %s", error->message);
    return true;
}

static DnsmasqHost *add_host(GArray *hosts, const struct ether_addr *mac, const char *name, const Address *address)
{
    DnsmasqHost host = {.mac = *mac, .name = name, .v4 = *address};
    g_array_append_val(hosts, host);
    return &g_array_index(hosts, DnsmasqHost, hosts->len - 1);
}

/* Ports that are there, and reservations for what is no VM of ours. */
static bool write_hosts(const Network *network, Error **ret_error)
{
    const Manager *manager = network->manager;
    g_autoptr(GArray) hosts = g_array_new(FALSE, FALSE, sizeof(DnsmasqHost));
    static const struct ether_addr none;
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (port->network == network)
            add_host(hosts, &port->mac, port->vm, &port->address);
    }
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, network->run->reservations);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const NetworkReservation *reservation = value;
        if (memcmp(&reservation->mac, &none, sizeof none) != 0 && !port_find_by_mac(network->manager, &reservation->mac, network))
            add_host(hosts, &reservation->mac, name, &reservation->address);
    }
    g_autofree char *text = dnsmasq_hosts((const DnsmasqHost *) hosts->data, hosts->len);
    return write_file(network, "hosts", text, ret_error);
}

bool network_server_write(Network *network, Error **ret_error)
{
    const NetworkRun *run = network->run;
    g_autofree char *dir = network_dir(network), *hosts = g_build_filename(dir, "hosts", NULL), *leases = lease_file(network);
    const DnsmasqSpec spec = {
        .bridge = run->bridge,
        .addresses = (const Address *) run->addresses->data,
        .n_addresses = run->addresses->len,
        .first = run->first,
        .last = run->last,
        .domain = run->domain,
        .hosts_file = hosts,
        .lease_file = leases,
        .dhcp = run->dhcp,
        .router = run->mode != NETWORK_ISOLATED,
        .mtu = run->mtu,
        .lease_usec = run->lease_usec,
    };
    g_autofree char *text = dnsmasq_config(&spec);
    return write_file(network, "dnsmasq.conf", text, ret_error) && write_hosts(network, ret_error);
}

static int on_update(sd_event_source *source, uint64_t usec, void *userdata)
{
    Network *network = userdata;
    NetworkRun *run = network->run;
    g_autoptr(Error) error = NULL;
    g_autofree char *unit = network_unit(network);
    run->update = sd_event_source_disable_unref(run->update);
    run->updated_at = (uint64_t) g_get_monotonic_time();
    if (!write_hosts(network, &error)) {
        g_autofree char *message = error_message(error);
        g_warning("%s", message);
    } else if (network->state == NETWORK_RUNNING)
        service_signal(network->manager->scopes, unit, SIGHUP);
    return 0;
}

static void update_at(Network *network, uint64_t usec)
{
    NetworkRun *run = network->run;
    uint64_t planned;
    if (!run || !run->dhcp)
        return;
    if (!run->update) {
        if (sd_event_add_time(network->manager->event, &run->update, CLOCK_MONOTONIC, usec, 1, on_update, network) < 0)
            g_error("out of memory");
    } else if (sd_event_source_get_time(run->update, &planned) >= 0 && usec < planned)
        (void) sd_event_source_set_time(run->update, usec);
}

void network_server_update(Network *network)
{
    update_at(network, network->run ? network->run->updated_at + UPDATE_USEC : 0);
}

void network_server_update_later(Network *network)
{
    update_at(network, (uint64_t) g_get_monotonic_time() + LATER_USEC);
}

void network_server_remove_files(const Network *network)
{
    g_autofree char *link = lease_dir(network), *dir = g_strdup_printf("/run/private/vmnet-%s", network->name);
    g_autofree char *leases = g_build_filename(dir, "leases", NULL);
    (void) unlink(leases);
    (void) rmdir(dir);
    (void) unlink(link);
}

/* ---- the service ---- */

static void on_job(const Error *error, void *userdata)
{
    ServerCall *call = userdata;
    NetworkDone done = call->done;
    void *done_userdata = call->userdata;
    g_ptr_array_remove_fast(call->network->manager->server_calls, call);
    g_free(call);
    done(error, done_userdata);
}

static ServerCall *call_new(Network *network, NetworkDone done, void *userdata)
{
    ServerCall *call = g_new0(ServerCall, 1);
    call->network = network;
    call->done = done;
    call->userdata = userdata;
    g_ptr_array_add(network->manager->server_calls, call);
    return call;
}

void network_server_forget(Network *network, void *userdata)
{
    GPtrArray *calls = network->manager->server_calls;
    for (guint i = calls->len; i > 0; i--) {
        ServerCall *call = calls->pdata[i - 1];
        if (call->userdata != userdata)
            continue;
        scope_job_forget(call->job);
        g_free(call);
        g_ptr_array_remove_index_fast(calls, i - 1);
    }
}

static ScopeJob *start_service(Network *network, ServerCall *call, Error **ret_error)
{
    g_autofree char *dnsmasq = g_find_program_in_path("dnsmasq"), *dir = network_dir(network), *unit = network_unit(network);
    g_autofree char *config = g_strdup_printf("--conf-file=%s/dnsmasq.conf", dir), *runtime = g_strdup_printf("vmnet-%s", network->name);
    g_autofree char *description = g_strdup_printf("Addresses and Names of Network %s", network->name);
    if (!dnsmasq) {
        error_set(ret_error, ERROR_UNSUPPORTED, "dnsmasq", "Install it (the package dnsmasq-base), or set DHCP=no", "it is not there");
        return NULL;
    }
    const char *const argv[] = {dnsmasq, config, NULL};
    /* CAP_NET_BIND_SERVICE (10), CAP_NET_ADMIN (12), CAP_NET_RAW (13). */
    const uint64_t bits = 1U << 10 | 1U << 12 | 1U << 13;
    const char *const runtime_dir[] = {runtime, NULL}, *const no_home[] = {"/home", "/root", "/run/user", NULL};
    const char *const native[] = {"native", NULL};
    const ServiceProperty properties[] = {
        {"Description", 's', .text = description},
        {"Type", 's', .text = "forking"}, /* it forks when it has its ports: a start that fails is known as one */
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {"Restart", 's', .text = "on-failure"},
        {"RestartUSec", 't', .number = 100 * 1000},
        {"StartLimitIntervalUSec", 't', .number = 0},
        {"Slice", 's', .text = "vms.slice"},
        {"DynamicUser", 'b', .number = 1},
        {"AmbientCapabilities", 't', .number = bits},
        {"CapabilityBoundingSet", 't', .number = bits},
        {"RuntimeDirectory", 'a', .words = runtime_dir},
        {"RuntimeDirectoryPreserve", 's', .text = "yes"}, /* for network_server_remove_files(): leases outlive a stop */
        {"NoNewPrivileges", 'b', .number = 1},
        {"ProtectSystem", 's', .text = "strict"},
        {"InaccessiblePaths", 'a', .words = no_home},
        {"PrivateTmp", 'b', .number = 1},
        {"PrivateDevices", 'b', .number = 1},
        {"ProtectKernelModules", 'b', .number = 1},
        {"ProtectKernelLogs", 'b', .number = 1},
        {"ProtectControlGroups", 'b', .number = 1},
        {"ProtectClock", 'b', .number = 1},
        {"ProtectHostname", 'b', .number = 1},
        {"ProtectProc", 's', .text = "invisible"},
        {"LockPersonality", 'b', .number = 1},
        {"MemoryDenyWriteExecute", 'b', .number = 1},
        {"RestrictRealtime", 'b', .number = 1},
        {"RestrictSUIDSGID", 'b', .number = 1},
        {"SystemCallArchitectures", 'a', .words = native},
        {"TasksMax", 't', .number = 32},
        {"MemoryMax", 't', .number = UINT64_C(128) << 20},
        {NULL},
    };
    const ServiceSpec spec = {.unit = unit, .argv = argv, .properties = properties};
    return service_start(network->manager->scopes, &spec, on_job, call, ret_error);
}

void network_server_start(Network *network, NetworkDone done, void *userdata)
{
    g_autoptr(Error) error = NULL;
    ServerCall *call = call_new(network, done, userdata);
    call->job = start_service(network, call, &error);
    if (!call->job)
        on_job(error, call);
}

void network_server_stop(Network *network, NetworkDone done, void *userdata)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *unit = network_unit(network);
    ServerCall *call = call_new(network, done, userdata);
    call->job = service_stop(network->manager->scopes, unit, on_job, call, &error);
    if (!call->job)
        on_job(error, call);
}

/* ---- one that was stopped ---- */

static void revive_later(Network *network);

static void on_revived(const Error *error, void *userdata)
{
    Network *network = userdata;
    g_autofree char *message = error ? error_message(error) : NULL;
    manager_check_idle(network->manager);
    if (network->state != NETWORK_RUNNING)
        return;
    if (!error) {
        g_message("Network %s: its server had been stopped, and has been started again", network->name);
        network_watch_leases(network);
    } else if (error->code != ERROR_EXISTS) { /* that one: it is there, or systemd tells when it is not */
        g_warning("Network %s: its server has been stopped, and cannot be started again: %s", network->name, message);
        revive_later(network);
    }
}

void network_server_revive(Network *network)
{
    network->run->revived_at = (uint64_t) g_get_monotonic_time();
    network_server_start(network, on_revived, network);
}

static int on_revive(sd_event_source *source, uint64_t usec, void *userdata)
{
    Network *network = userdata;
    network->run->revive = sd_event_source_disable_unref(network->run->revive);
    if (network->state == NETWORK_RUNNING)
        network_server_revive(network);
    return 0;
}

/* Who looks at a unit that is not there has systemd load and forget it: that must not put it off. */
static void revive_later(Network *network)
{
    NetworkRun *run = network->run;
    if (run->revive)
        return;
    bool peace = (uint64_t) g_get_monotonic_time() - run->revived_at > 2 * REVIVE_MAX_USEC;
    run->revive_delay = peace ? REVIVE_MIN_USEC : CLAMP(2 * run->revive_delay, REVIVE_MIN_USEC, REVIVE_MAX_USEC);
    if (sd_event_add_time_relative(network->manager->event, &run->revive, CLOCK_MONOTONIC, run->revive_delay, 1, on_revive, network) < 0)
        g_error("out of memory");
}

static void on_gone(const char *unit, void *userdata)
{
    Manager *manager = userdata;
    GHashTableIter iter;
    gpointer value;
    if (!g_str_has_prefix(unit, "vmnet-"))
        return;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Network *network = value;
        g_autofree char *own = network_unit(network);
        if (network->state == NETWORK_RUNNING && network->run->dhcp && g_str_equal(unit, own))
            revive_later(network);
    }
}

void networks_watch_servers(Manager *manager)
{
    scopes_watch_gone(manager->scopes, on_gone, manager);
}

/* ---- leases ---- */

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    Network *network = userdata;
    g_autofree char *path = lease_file(network);
    g_autoptr(GArray) before = network->run->leases;
    network->run->leases = leases_read(path);
    ports_addresses_changed(network);
    return 0;
}

static void read_soon(Network *network)
{
    NetworkRun *run = network->run;
    if (!run->lease_settle)
        (void) sd_event_add_time_relative(network->manager->event, &run->lease_settle, CLOCK_MONOTONIC, SETTLE_USEC, 1, on_settled, network);
    else if (sd_event_source_set_time_relative(run->lease_settle, SETTLE_USEC) >= 0)
        (void) sd_event_source_set_enabled(run->lease_settle, SD_EVENT_ONESHOT);
}

static int on_lease(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    read_soon(userdata);
    return 0;
}

void network_watch_leases(Network *network)
{
    NetworkRun *run = network->run;
    g_autofree char *dir = lease_dir(network);
    if (!run->dhcp)
        return;
    run->lease_watch = sd_event_source_disable_unref(run->lease_watch);
    int r = sd_event_add_inotify(network->manager->event, &run->lease_watch, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE, on_lease, network);
    if (r < 0)
        g_warning("%s: its leases cannot be followed: %s", dir, strerror(-r));
    read_soon(network);
}
