/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Links: what vmd asks of the kernel's network interfaces, through rtnetlink (libnl).
 *
 * One Links per daemon, with two sockets: one for requests, which the kernel carries out while they are sent, so that each
 * call here returns with its outcome and waits for nobody; one that is told of changes, on the loop. EINTR of a
 * dump (NLM_F_DUMP_INTR) is tried again a few times, EBUSY too, before it is an error.
 *
 * A link of ours has an alias that says so: "vmd bridge NETWORK", "vmd tap VM" (LINK_ALIAS_*). Others' links are
 * never changed but by links_enslave(), for the port that is ours.
 *
 * Knows no VMs, no networks, no D-Bus. Errors name the link, the cause and the way out. */

#include <net/if.h>
#include <systemd/sd-event.h>

#include "address.h"
#include "error.h"

#define LINK_ALIAS_BRIDGE "vmd bridge "
#define LINK_ALIAS_TAP "vmd tap "

typedef struct Links Links;

typedef struct Link {
    int index;
    char name[IFNAMSIZ];
    char kind[16];  /* "bridge", "tun", "macvtap", "" */
    char alias[256];
    int master;     /* index of its bridge, or 0 */
    unsigned mtu;
    bool up, running; /* IFF_UP; IFF_RUNNING */
    struct ether_addr mac;
} Link;

int links_new(sd_event *event, Links **ret); /* -EPERM never: what needs CAP_NET_ADMIN says so when it is asked for */
void links_free(Links *links);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Links, links_free)

/* 0, or -ENODEV and nothing in *ret. */
int links_get(Links *links, const char *name, Link *ret);
int links_get_by_index(Links *links, int index, Link *ret);

/* All links whose alias begins with `alias` (NULL: all); GArray of Link, g_array_unref. NULL and an Error. */
GArray *links_list(Links *links, const char *alias, Error **ret_error);

/* Removes what a process left that was killed in links_add_bridge() or links_add_macvtap() before the link had its alias, which
 * takes a second request: one of this name, kind and MAC without any alias. Every other stays. */
void links_remove_unfinished(Links *links, const char *name, const char *kind, const struct ether_addr *mac);

/* Whether a name can be an interface's: 1 to 15 bytes, no "/", blank, ":" or control character, not "." or "..". */
bool link_name_is_valid(const char *name);

typedef struct BridgeSpec {
    const char *name, *alias;
    struct ether_addr mac;   /* set in the call that makes it, or udev would choose */
    unsigned mtu;            /* 0: the kernel's */
    const Address *addresses; /* its own */
    size_t n_addresses;
} BridgeSpec;

/* Makes a bridge (no STP, no forward delay, no multicast snooping querier), gives it its addresses (IPv6 without duplicate
 * address detection) and sets it up. On an error nothing is left. ERROR_EXISTS: there is a link of this name. */
bool links_add_bridge(Links *links, const BridgeSpec *spec, int *ret_index, Error **ret_error);

/* Removes one that has the alias of ours; others are refused. One that is gone already is no error. */
bool links_remove_bridge(Links *links, int index, Error **ret_error);

typedef struct PortSpec {
    const char *link;   /* the tap's name */
    const char *bridge;
    const char *alias;
    unsigned mtu;       /* 0: the bridge's */
    bool isolated;      /* IFLA_BRPORT_ISOLATED: reaches no other isolated port */
    bool hairpin;       /* IFLA_BRPORT_MODE: hears what it sends, where that is for it. The firewall keeps the rest off it */
} PortSpec;

/* Makes a tap a port of a bridge, and sets it up. ERROR_INVALID_SETTINGS: the bridge is no bridge; ERROR_FAILED: it is not there. */
bool links_enslave(Links *links, const PortSpec *spec, Error **ret_error);

/* For a tap that outlived its QEMU: who has its descriptor can make it persistent. Refused and gone: as links_remove_bridge(). */
bool links_remove_tap(Links *links, int index, Error **ret_error);

/* IFF_UP of a tap: what the guest sees as its cable, together with QEMU's set_link. */
bool links_set_up(Links *links, const char *name, bool up, Error **ret_error);

/* Limits in bytes a second, 0: none. `in`: what the guest receives (a tbf qdisc on the tap), `out`: what it sends (an
 * ingress policer). May be called again to change them. */
bool links_set_bandwidth(Links *links, const char *name, uint64_t in, uint64_t out, Error **ret_error);

/* A macvtap in bridge mode over `parent`, up, with this MAC (the guest must use it). Opened as /dev/tapINDEX by tap.h. It does
 * not go with its last descriptor: links_remove_macvtap(). */
bool links_add_macvtap(Links *links, const char *parent, const char *name, const struct ether_addr *mac, const char *alias, int *ret_index, Error **ret_error);
bool links_remove_macvtap(Links *links, int index, Error **ret_error);

/* Who uses `network` already: an address of a link or a route (the default route and our link `except_index` apart). In
 * *ret_who a new string such as "the address 192.168.1.5/24 of eth0", NULL when it is free. */
bool links_find_collision(Links *links, const Address *network, int except_index, char **ret_who, Error **ret_error);

/* The link that holds the default route (IPv4 first, the lowest metric), 0 and false where there is none. */
bool links_default_route(Links *links, int *ret_index, Error **ret_error);

typedef struct Neighbour {
    int index;
    struct ether_addr mac;
    Address address;
} Neighbour;

/* What the kernel has heard on a link (REACHABLE, STALE, DELAY, PROBE, PERMANENT); GArray of Neighbour. */
GArray *links_neighbours(Links *links, int index, Error **ret_error);

/* What has passed a link since it was made, as the host counts: of a tap the guest has sent what is received here. */
typedef struct LinkCounters {
    uint64_t received, sent; /* bytes */
    uint64_t packets_received, packets_sent;
    uint64_t errors_received, errors_sent;
    uint64_t dropped_received, dropped_sent;
} LinkCounters;
int links_counters(Links *links, int index, LinkCounters *ret); /* 0, or a negative errno */

/* Told, from the loop, that links (`what` LINKS_LINK; index and name of the one; `gone`) or neighbours (LINKS_NEIGHBOUR) have
 * changed. LINKS_LOST: the kernel had more to say than was read; look at everything again. One watcher. */
typedef enum LinksChange { LINKS_LINK, LINKS_NEIGHBOUR, LINKS_LOST } LinksChange;
typedef void (*LinksChanged)(LinksChange what, int index, const char *name, bool gone, void *userdata);
int links_watch(Links *links, LinksChanged changed, void *userdata);
void links_unwatch(Links *links);
