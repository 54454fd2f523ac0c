/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Firewall: the two tables of ours, `table inet vmd` and, where a port is filtered or has forwards, `table bridge vmd`, as one text that nft
 * replaces atomically. Always the whole of it, made from what is there now, so that nothing can be left over in it.
 *
 * libnftables is loaded when it is needed first: a vmd whose VMs have no network does not pay for it, and where it is
 * missing that is a clear error of the start that wants it. It may wait for the kernel, so it runs in a thread (task/task.h). */

#include <systemd/sd-event.h>

#include "address.h"
#include "error.h"

typedef enum FirewallMode { FIREWALL_NAT, FIREWALL_ROUTED, FIREWALL_ISOLATED } FirewallMode;

/* A network whose bridge is ours. */
typedef struct FirewallNetwork {
    char *bridge;
    FirewallMode mode;
    GArray *addresses; /* Address: the bridge's own, with prefixes */
    struct ether_addr mac; /* the bridge's, of which its link-local address is made */
    bool host_access;  /* VMs reach the host's services; else only DHCP, DNS, router discovery and echo */
} FirewallNetwork;

/* [from a port, or a range of them, of the host to a guest] */
typedef struct FirewallForward {
    bool udp;
    Address listen;      /* family AF_UNSPEC: any address of the host, of both families */
    uint16_t first, last; /* ports of the host; last >= first */
    uint16_t to;          /* the guest's first port; the range is as long */
    char *bridge, *tap;
    Address to_v4, to_v6; /* the guest's; AF_UNSPEC where it has none */
} FirewallForward;

/* A port that sends clean traffic only: its own MAC and addresses. On bridges of ours and of others. */
typedef struct FirewallFilter {
    char *tap, *bridge;
    struct ether_addr mac;
    GArray *addresses; /* Address, bare, or the network that it chooses from. Without IPv4 on a bridge of ours: any but the host's;
                        * none at all on a bridge of others: any with this MAC */
} FirewallFilter;

typedef struct FirewallState {
    GPtrArray *networks, *forwards, *filters; /* FirewallNetwork, FirewallForward, FirewallFilter */
} FirewallState;

FirewallState *firewall_state_new(void);
void firewall_state_free(FirewallState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FirewallState, firewall_state_free)
void firewall_network_free(FirewallNetwork *network);
void firewall_forward_free(FirewallForward *forward);
void firewall_filter_free(FirewallFilter *filter);

/* "tcp:2222:22", "udp:5000-5010:6000", "tcp:192.168.1.5:80:8080", "tcp:[2001:db8::1]:80:8080"; the guest's port may be left out ("tcp:8080").
 * ERROR_INVALID_SETTINGS that names what is wrong. Fills in what the text has; the rest stays zero. */
bool firewall_forward_parse(const char *text, FirewallForward *ret, Error **ret_error);
/* Whether two want the same port of the same address. */
bool firewall_forward_collides(const FirewallForward *a, const FirewallForward *b);

/* What nft is given: deletes both tables and makes them anew, or with an empty state only deletes them. A new string. */
char *firewall_text(const FirewallState *state);

typedef struct Firewall Firewall;
Firewall *firewall_new(sd_event *event);
void firewall_free(Firewall *firewall); /* callbacks that wait do not come any more */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Firewall, firewall_free)

/* `error` NULL: what was asked for, or something newer, is in the kernel. */
typedef void (*FirewallDone)(const Error *error, void *userdata);

/* Puts the state into the kernel, soon: of several that come while one is under way only the last is carried out, and all are
 * told. Copies what it needs before it returns. A text equal to what is there is not sent again, unless `again`. */
void firewall_apply(Firewall *firewall, const FirewallState *state, bool again, FirewallDone done, void *userdata);
/* `done` with this userdata does not come. */
void firewall_forget(Firewall *firewall, void *userdata);
/* Nothing under way and nobody waiting. */
bool firewall_is_idle(const Firewall *firewall);

/* Whether a local program listens on one of the ports (sock_diag, both families); in *ret_port the first such. */
bool firewall_port_is_taken(const FirewallForward *forward, uint16_t *ret_port);
