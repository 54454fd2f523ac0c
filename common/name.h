/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of VMs, networks, pools and volumes: what may be one, and what systemd and D-Bus call it.
 *
 * A name becomes a file name, a unit name, an instance of vm@.service and a label on an object path, so
 * only what is plain in all of them is allowed: 1 to 64 bytes of [A-Za-z0-9_.-], the first one a letter
 * or a digit. Every name that comes from outside passes name_check() before it is used for anything. */

#include <stdbool.h>

#include "error.h"

#define NAME_MAX_LENGTH 64

bool name_check(const char *name, Error **ret_error);
bool name_is_valid(const char *name);

/* Device and section names ("root" in [Disk root]): like a VM's name, at most 32 bytes, no dot. */
bool device_name_is_valid(const char *name);

/* What the NVRAM of a VM with UEFI is called where its disks are, in snapshots and backups: no disk has this name. */
#define NVRAM_DISK "@nvram"
#define NVRAM_SECTION "Disk " NVRAM_DISK

/* A pool's name is like a device's. A volume's is a file name: like a VM's, at most 128 bytes, and not that of a file that is just being
 * written. */
bool volume_name_is_valid(const char *name);
bool volume_name_check(const char *name, Error **ret_error);
#define VOLUME_NAME_MAX_LENGTH 128
#define VOLUME_PART_SUFFIX ".part"

/* "default/web.qcow2": whether it is POOL/VOLUME, and new strings for the two, where wanted. */
bool name_split_source(const char *source, char **ret_pool, char **ret_volume);

/* The ".xz" that a file's name, or a URL's up to "?" or "#", ends in, of those that vmd unpacks; NULL: none. */
const char *name_packing(const char *name);

/* New strings, the caller frees: "vm-web.scope", "vm@web.service", "/org/vmd1/vm/web". */
char *name_to_scope(const char *name);
char *name_to_service(const char *name);
char *name_to_vm_path(const char *name);

/* Of networks: "vmnet-lan.service", "/org/vmd1/network/lan". */
char *name_to_network_unit(const char *name);
char *name_to_network_path(const char *name);

/* Of pools: "/org/vmd1/pool/default". */
char *name_to_pool_path(const char *name);

/* The VM's name in "vm-web.scope"; NULL when it is no scope of a VM. The caller frees. */
char *name_from_scope(const char *unit);

/* The candidate (NULL-terminated list) that someone who wrote `name` most likely meant; NULL when none is
 * near. */
const char *name_nearest(const char *name, const char *const *candidates);
