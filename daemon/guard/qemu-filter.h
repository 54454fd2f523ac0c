/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* QEMU's filter: what no QEMU of ours has a use for, and a QEMU that its guest has taken over does. Sockets are of the families
 * unix, IPv4 and IPv6 alone (a network namespace holds those two and not vsock), and of netlink the uevents alone, which libusb wants. A
 * few calls that are mostly known for faults of the kernel's, or reach into other processes of the same user, are not to be had. It
 * lies under QEMU's own filter (-sandbox), which a build may lack and which denies none of this.
 *
 * Refusals are errors as a kernel without the thing has them, not signals. What io_uring does is not seen (it makes sockets, too,
 * from Linux 5.19 on): QEMU reads and writes its disks with it. */

/* `remote`: it is given connections of the host's network, each of which connect(2) can take from whom it leads to and let lead
 * to any other host. So that one is not to be had, nor io_uring, which has one, too. */

/* In the child that becomes QEMU, as the last step. Returns -1 with errno. Needs no_new_privs. */
int qemu_filter_install(bool remote);
