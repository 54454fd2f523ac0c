/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sysctl: the few settings of the kernel below /proc/sys/net that networks need. */

#include "error.h"

/* Lets the host forward. IPv6 forwarding would turn off accept_ra of the uplinks: where a link has accept_ra 1 it becomes 2 first.
 * Never turned off again: others may rely on it by then. */
bool sysctl_enable_forwarding(int family, Error **ret_error);

/* "net/ipv4/conf/vmbr0/route_localnet". 0 or a negative errno. */
int sysctl_write(const char *name, const char *value);
char *sysctl_read(const char *name); /* without the newline; NULL */
