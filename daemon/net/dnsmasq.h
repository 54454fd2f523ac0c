/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Dnsmasq: the text of its configuration and of its table of hosts, from what a network is. Who starts it: network/server.c. */

#include "address.h"

typedef struct DnsmasqHost {
    struct ether_addr mac;
    const char *name;  /* of the VM */
    Address v4;        /* AF_UNSPEC: none */
} DnsmasqHost;

typedef struct DnsmasqSpec {
    const char *bridge;
    const Address *addresses; /* the bridge's own */
    size_t n_addresses;
    Address first, last;      /* of the IPv4 range; AF_UNSPEC: none */
    const char *domain;       /* NULL: none */
    const char *hosts_file, *lease_file; /* paths: the table of hosts, read again at SIGHUP; what it writes */
    bool dhcp;                /* and router advertisements for IPv6 */
    bool router;              /* the host is the way out: offers a default route and asks other servers for names */
    unsigned mtu;             /* 0: not told */
    uint64_t lease_usec;
} DnsmasqSpec;

/* The whole file; all text in it is checked by who made the settings. New strings. */
char *dnsmasq_config(const DnsmasqSpec *spec);
/* --dhcp-hostsfile: a host a line. */
char *dnsmasq_hosts(const DnsmasqHost *hosts, size_t n);
