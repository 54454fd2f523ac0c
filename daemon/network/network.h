/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Network: one network of vmd's, defined or running; and its ports.
 *
 * A network is known as long as its settings file is there, or it runs. While it does not, it is a few words in memory. While
 * it does, it has a NetworkRun: a bridge, addresses, rules, and a dnsmasq in vmnet-NAME.service. It starts when somebody wants a
 * port on it (port.h) or calls Start, and goes when the last port is gone, unless Autostart= or that call keeps it.
 * All of it outlives vmd: recover.c finds it again by the records in /run/vmd/network.
 *
 * Owned by the Manager. network-dbus.c is its face on the bus. A user's vmd has no networks, only ports that the
 * system's vmd opens for it. */

#include <systemd/sd-event.h>

#include "address.h"
#include "error.h"
#include "settings.h"

typedef struct Manager Manager;

typedef enum NetworkMode { NETWORK_NAT, NETWORK_ROUTED, NETWORK_ISOLATED, NETWORK_BRIDGE, _NETWORK_MODE_MAX } NetworkMode;

typedef enum NetworkState {
    NETWORK_STOPPED,
    NETWORK_STARTING,
    NETWORK_RUNNING,
    NETWORK_STOPPING,
    NETWORK_FAILED,
    _NETWORK_STATE_MAX,
} NetworkState;

/* What a network is while it is there; also what its record holds. */
typedef struct NetworkRun {
    char *bridge;
    int index;         /* of the bridge; 0 until it is there */
    NetworkMode mode;
    GArray *addresses; /* Address: the host's own; none with NETWORK_BRIDGE */
    bool dhcp;         /* dnsmasq serves it */
    Address first, last; /* of the IPv4 range; AF_UNSPEC: none */
    char *domain;      /* NULL: none */
    char *zone;        /* of firewalld; none with NETWORK_BRIDGE */
    unsigned mtu;      /* 0: the kernel's */
    bool isolate, filter, host_access;
    uint64_t lease_usec;
    bool kept;         /* Autostart= or Start(): stays without ports */
    GHashTable *reservations; /* VM name to NetworkReservation */
    GArray *leases;    /* Lease; as last read */
    sd_event_source *lease_watch, *lease_settle;
    sd_event_source *update;     /* server.c: its table of hosts is to be written */
    uint64_t updated_at;         /* µs */
    sd_event_source *revive;     /* server.c: a server that was stopped is to be started again */
    uint64_t revive_delay, revived_at; /* µs */
} NetworkRun;

typedef struct NetworkReservation {
    Address address;
    struct ether_addr mac; /* zero: of the VM of that name */
} NetworkReservation;

typedef struct Network {
    Manager *manager;
    char *name;
    bool defined;   /* its settings file is there */
    char *problem;  /* why its files cannot be used, or NULL */

    /* From the settings. */
    char *description;
    NetworkMode mode;
    bool autostart;

    NetworkState state;
    char *message;      /* why it failed */
    NetworkRun *run;    /* while it starts, runs or stops */
    GArray *starters, *stoppers; /* start.c: who waits for it to run, or to be gone */
} Network;

Network *network_new(Manager *manager, const char *name);
void network_free(Network *network); /* takes nothing away from the kernel */

/* New strings. */
char *network_settings_path(const Network *network);
char *network_object_path(const Network *network);
char *network_unit(const Network *network);
char *network_dir(const Network *network); /* /run/vmd/network/NAME */

/* The MAC of its bridge, always the same; not of Mode=bridge. */
struct ether_addr network_bridge_mac(const Network *network);

/* Reads the file again and fills in what is shown. */
void network_read_settings(Network *network);
Settings *network_load_settings(const Network *network, Error **ret_error);
/* Whether a settings file could have this text: what stands between keys, after what settings_edit() has checked. */
bool network_check_text(const Network *network, const char *text, const char *origin, Error **ret_error);

void network_set_state(Network *network, NetworkState state, const char *message);
void network_changed(Network *network, const char *property, ...) G_GNUC_NULL_TERMINATED;
bool network_is_active(const Network *network);
unsigned network_count_ports(const Network *network);

const char *network_mode_to_string(NetworkMode mode);
NetworkMode network_mode_from_string(const char *s); /* NETWORK_NAT when it is none */
const char *network_state_to_string(NetworkState state);

/* Whether it runs; the callback comes exactly once, perhaps before this returns. */
typedef void (*NetworkDone)(const Error *error, void *userdata);

typedef struct NetworkWaiter {
    NetworkDone done;
    void *userdata;
} NetworkWaiter;

/* start.c: makes it run where it does not yet; `keep`: it stays without ports. */
void network_start(Network *network, bool keep, NetworkDone done, void *userdata);
/* `done` with this userdata does not come. */
void network_start_forget(Network *network, void *userdata);
/* Fails with ERROR_IN_USE while it has ports. */
void network_stop(Network *network, NetworkDone done, void *userdata);
/* Stops it where nobody wants it any more. */
void network_check_wanted(Network *network);
/* What the kernel and the file system have of it, where there is any; the rules apart. */
void network_take_away(Network *network);

/* run.c */
NetworkRun *network_run_new(void);
void network_run_free(NetworkRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetworkRun, network_run_free)
bool network_write_record(const Network *network, Error **ret_error);
bool network_read_record(Network *network, Error **ret_error);

/* plan.c: what the settings come to on this host: addresses that are free, range, names. */
char *network_find_uplink_bridge(Manager *manager, const char *thing, Error **ret_error); /* Bridge=auto */
NetworkRun *network_plan(Network *network, const Settings *settings, Error **ret_error);
/* What can be said without looking at the host. */
bool network_check_settings(const char *name, const Settings *settings, Error **ret_error);

/* server.c: dnsmasq. */
bool network_server_write(Network *network, Error **ret_error); /* its configuration */
void network_server_start(Network *network, NetworkDone done, void *userdata);
void network_server_stop(Network *network, NetworkDone done, void *userdata);
void network_server_forget(Network *network, void *userdata);
/* A server that somebody has stopped, or that ended by itself, is started again while its network runs: the network is nothing without,
 * and systemd, which has forgotten the unit, cannot. Of the system's vmd, at its start; and what it finds then. */
void networks_watch_servers(Manager *manager);
void network_server_revive(Network *network);
/* Its table of hosts, from the ports there are then; told to dnsmasq. At once, from the loop, but soon after the last time only a moment
 * later: many ports may come or go together. */
void network_server_update(Network *network);
/* The same, when there is no hurry: a port has gone. */
void network_server_update_later(Network *network);
void network_watch_leases(Network *network);
void network_server_remove_files(const Network *network);

/* rules.c: the whole firewall, from all networks and ports; `done` as in firewall_apply(), may be NULL. */
void networks_apply_rules(Manager *manager, NetworkDone done, void *userdata);
bool networks_rules_are_there(const Manager *manager); /* or may be, since before this vmd */
void networks_forget_rules(Manager *manager, void *userdata);

/* recover.c: networks and ports that are there since before vmd was. Then those with Autostart= are started. */
void networks_recover(Manager *manager);
