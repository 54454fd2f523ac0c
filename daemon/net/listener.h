/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Listener: which sockets of the host listen on a port (sock_diag). */

#include <glib.h>

#include "address.h"

typedef struct Listener {
    bool udp;
    Address address;  /* bare; family AF_UNSPEC: any, of both families */
    uint16_t port;
    int index;        /* of the link that it is bound to; 0: any */
    uint64_t cgroup;  /* its maker's, or 0: not known */
} Listener;

/* TCP sockets that listen, or UDP sockets that are not connected, with a port from `first` to `last`; GArray of Listener. What cannot be
 * read is left out. */
GArray *listeners_list(bool udp, uint16_t first, uint16_t last);

/* The unit of systemd's whose cgroup that is: "dnsmasq.service"; NULL: not known. Walks through all cgroups, so better in a thread. */
char *listener_unit(uint64_t cgroup);
