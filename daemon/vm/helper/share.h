/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shares: a virtiofsd beside QEMU for each [Share NAME].
 *
 * The folder was opened with the rights of the VM's owner (sources.c), and virtiofsd reaches that and nothing else, as root of a user
 * namespace in which the owner is, or all are where root is the owner (guard/share-tree.h). A VM that shares folders cannot be saved:
 * what virtiofsd has open is in no file of QEMU's. Called by start.c and hotplug-share.c. */

#include "helpers.h"
#include "machine.h"
#include "vm.h"

/* Adds the helper of one that was opened, and QEMU's end of its socket, to `share`; its folder is the helper's then. NULL and an Error. */
Helper *share_prepare(Instance *instance, MachineShare *share, Error **ret_error);

/* Of all that a VM starts with. */
bool shares_prepare(Instance *instance, MachineParts *parts, Error **ret_error);
