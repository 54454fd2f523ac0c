/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lease: what dnsmasq has written down about addresses that it gave away. The file is hostile: names in it come from guests. */

#include "address.h"
#include "error.h"

#define LEASE_FILE_MAX (1024U * 1024U)
#define LEASES_MAX 4096U

typedef struct Lease {
    uint64_t expires; /* s, CLOCK_REALTIME; 0: never */
    struct ether_addr mac; /* zero where an IPv6 lease does not tell: DUIDs of type LL and LLT do */
    Address address; /* bare */
    char name[64];   /* a valid host name, or "" */
} Lease;

/* Lines that cannot be read are left out. GArray of Lease; an empty one where the file is not there. */
GArray *leases_parse(const char *text, size_t length);
GArray *leases_read(const char *path);
