/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vsock of a VM (VSock= of [VM]): sockets between guest and host that need no network, vsock(7), and what comes first over them:
 * a guest whose systemd is up says READY=1 (vmm.notify_socket in systemd(1)).
 *
 * The kernel holds a CID for who has set it on the device, so no two VMs have one, whoever runs them. vmd listens on one port for all its VMs;
 * who says something there is known by the CID, which a guest cannot choose. Nothing else of it is believed. */

#include "instance.h"
#include "machine.h"

typedef struct VsockListener VsockListener;

/* For a start: the device with a CID that is free, and a socket that listens. Nothing where VSock=no. ERROR_IN_USE: VSockCID= is another VM's. */
bool vsock_open(Instance *instance, const Settings *settings, MachineParts *parts, Error **ret_error);

/* The property Booted. True: the guest has said so by vsock, or its agent has answered. Tells the bus where that is new. */
void vm_set_booted(VM *vm, bool booted);

/* Of a VM of before that has one: listens on. */
void vsock_recover(Manager *manager);

void vsock_free(VsockListener *listener);
