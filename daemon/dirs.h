/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Dirs: where vmd keeps things, on the system bus or for one user (the XDG counterparts).
 * Made once by main(), borrowed by everyone. */

#include <stdbool.h>

#include "error.h"

typedef struct Dirs {
    char *settings;  /* /etc/vmd: NAME.vm and NAME.vm.d */
    char *runtime;   /* /run/vmd: NAME.vm of transient VMs, and what lasts until the next boot */
    char *instances; /* /run/vmd/vm: a folder a running VM, mode 0700 */
    char *last;      /* /run/vmd/last: a file a VM that has ended, mode 0700 */
    char *networks;  /* /run/vmd/network: a folder a running network, mode 0755: dnsmasq has a uid of its own */
    char *ports;     /* /run/vmd/port: a record a tap, mode 0700 */
    char *state;     /* /var/lib/vmd */
    char *saved;     /* /var/lib/vmd/saved: memory of saved VMs */
    char *tpm;       /* /var/lib/vmd/tpm: what TPMs remember, a folder a VM */
    char *nvram;     /* /var/lib/vmd/nvram: of VMs with UEFI; each file belongs to the VM's owner */
    char *pools;     /* /var/lib/vmd/pools: the folders of pools that name none */
    char *cache;     /* /var/cache/vmd */
} Dirs;

/* Also makes those that are missing, with their modes. */
Dirs *dirs_new(bool user, Error **ret_error);
void dirs_free(Dirs *dirs);
/* Removes a folder of run-time files with all files in it; not those of folders in it. One that is not there is fine. */
void dirs_remove(const char *path);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dirs, dirs_free)
