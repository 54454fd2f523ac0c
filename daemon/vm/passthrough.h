/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Passthrough: the PCI devices of the host that the [PCI NAME] sections of a VM's settings ask for (device/pci.h), taken for a start.
 *
 * While the VM's other files are opened; and given back when its instance goes, whoever ended it, or by the next vmd. To take and to give
 * back is one queue for all VMs, each in a thread, since drivers take their time: so what is given back is there for who comes next. */

#include "machine.h"
#include "vm.h"

typedef struct Passthrough Passthrough;
typedef struct PassthroughQueue PassthroughQueue; /* the manager's */
typedef void (*PassthroughDone)(const Error *error, void *userdata);

/* *ret is NULL where the settings have none, and then `done` does not come. Otherwise it comes once, not before this returns. False, and
 * an Error: nothing was begun. */
bool passthrough_open(VM *vm, const Settings *settings, PassthroughDone done, void *userdata, Passthrough **ret, Error **ret_error);
/* What `parts` then has; after `done`. */
void passthrough_take(Passthrough *passthrough, MachineParts *parts);
/* The nodes that QEMU opens for them: "/dev/vfio/vfio", "/dev/vfio/12"; NULL: none. The caller frees with g_strfreev(). */
char **passthrough_nodes(const MachineParts *parts);
/* Also before `done`, which then does not come. What was taken is given back with the instance. */
void passthrough_free(Passthrough *passthrough);

/* Whether the sections say which device they mean, and whether there are any. */
bool passthrough_check(const Settings *settings, Error **ret_error);
bool passthrough_is_wanted(const Settings *settings);

/* For a preview: what would be in `parts`, as far as the settings say it. */
void passthrough_preview(const Settings *settings, MachineParts *parts);

/* The instance has gone. */
void passthrough_give_back(Manager *manager, const char *vm);
/* Those of VMs that ended while no vmd was there. */
void passthrough_recover(Manager *manager);
void passthrough_queue_free(PassthroughQueue *queue);
