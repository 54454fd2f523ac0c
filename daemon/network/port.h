/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Port: one tap (or macvtap) on a network, or on a bridge of the host; of a VM, or of a caller of OpenTap.
 *
 * A tap is there for as long as somebody has its descriptor: QEMU, for a VM. The kernel says when it goes (net/link.h), and
 * the port goes with it: whoever ended QEMU, and whether or not vmd was there, nothing is left. A record a port in
 * /run/vmd/port/LINK tells a vmd that comes later what the port was.
 *
 * The Manager owns all ports. Used by vm/start/interfaces.c and manager-dbus.c. */

#include "firewall.h"
#include "network.h"
#include "tap.h"

typedef struct Port {
    Manager *manager;
    Network *network;  /* NULL: a link of the host */
    char *bridge;      /* or the macvtap's parent */
    char *link;        /* its own name */
    int index;
    bool macvtap;
    char *vm;          /* the VM, or what a caller of OpenTap goes by */
    char *section;     /* "lan"; "" of OpenTap */
    uid_t owner;
    struct ether_addr mac;
    Address address;   /* IPv4, kept for it; AF_UNSPEC: none */
    bool filter;
    bool isolated;
    bool link_up;      /* the guest's cable */
    uint64_t receive_max, send_max;
    GPtrArray *forwards; /* text, as in the settings */
} Port;

typedef enum PortKind { PORT_NETWORK, PORT_BRIDGE, PORT_MACVTAP, PORT_USER } PortKind;

typedef struct PortWish {
    PortKind kind;
    const char *target;  /* the network's name; the bridge's or parent's, "auto" */
    const char *vm, *section;
    uid_t owner;
    struct ether_addr mac;
    unsigned queues;
    bool vhost;
    bool filter;         /* also where only the network has it */
    unsigned mtu;
    bool link_up;
    uint64_t receive_max, send_max; /* bytes a second, 0: no limit */
    const char *const *forwards; /* may be NULL; ports that the owner could not bind are refused */
} PortWish;

/* A copy of its own, with all strings; NULL is fine to free. */
PortWish *port_wish_copy(const PortWish *wish);
void port_wish_free(PortWish *wish);

/* `tap` is the callee's to close; both NULL with an error. PORT_USER has no port, and a stream in place of a tap (passt.h). */
typedef void (*PortDone)(Port *port, Tap *tap, const Error *error, void *userdata);
typedef struct PortOpening PortOpening;

/* Begins; `done` comes exactly once, never before this returns. Copies the wish. */
PortOpening *port_open(Manager *manager, const PortWish *wish, PortDone done, void *userdata);
void port_open_cancel(PortOpening *opening); /* `done` does not come; all is undone */

/* What port-open.c and recover.c make one of. */
Port *port_new(Manager *manager);
Port *port_add(Manager *manager, Network *network, const PortWish *wish, Tap *tap, Error **ret_error);

/* port-change.c: makes a port of a VM what the wish says by now: another network or bridge, forwards, filter, limits. Its tap, MAC
 * and queues stay as they are. On an error the port is as it was before. `done` comes once, perhaps before this returns. */
void port_change(Port *port, const PortWish *wish, NetworkDone done, void *userdata);
/* Whether the port is what the wish says. */
bool port_fits(const Port *port, const PortWish *wish);

/* For port-change.c: what port_add() does after the choice of the bridge, and the target of a wish. */
bool port_take_address_and_forwards(Port *port, const PortWish *wish, Error **ret_error);
bool port_plug(Port *port, const PortWish *wish, Error **ret_error);
char *port_target_bridge(Manager *manager, const Network *network, const PortWish *wish, Error **ret_error);

/* Forgets the port: its rules, its name, its address; the network, where it was the last. The tap goes with its descriptors. */
void port_close(Port *port);
void ports_close_of_vm(Manager *manager, const char *vm);
void ports_free(Manager *manager); /* at vmd's end: all stays in the kernel */

/* What the macvtap of a guest's MAC is called; a new string. */
char *port_macvtap_name(const struct ether_addr *mac);

Port *port_find_by_link(Manager *manager, const char *link);
Port *port_find_of_vm(Manager *manager, const char *vm, const char *section);
Port *port_find_by_mac(Manager *manager, const struct ether_addr *mac, const Network *network);

/* The MTU that the network's settings have; 0: none, also where there is no port. */
unsigned port_mtu(const Port *port);

/* The guest's IPv6 address in a network that has one, as it makes it by itself. */
bool port_address6(const Port *port, Address *ret);

/* port-record.c; what is read has no index and no network yet but by name. */
bool port_write_record(const Port *port, Error **ret_error);
bool port_read_record(Port *port, const char *link, Error **ret_error);

/* Follows the links and neighbours of networks, while there are ports. */
void ports_watch(Manager *manager);

/* What is known of a port's addresses has changed: tells its VM. */
void ports_addresses_changed(Network *network);
