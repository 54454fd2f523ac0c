/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Interfaces: the ports that the [Network NAME] sections of a VM's settings ask for, opened for a start (network/port.h).
 *
 * All of them at once, while the disks are opened. The ports are the Manager's; what QEMU gets of them are descriptors. */

#include "address.h"
#include "machine.h"
#include "port.h"
#include "vm.h"

typedef struct Interfaces Interfaces;
typedef void (*InterfacesDone)(const Error *error, void *userdata);

/* *ret is NULL where the settings have none, and then `done` does not come. Otherwise it comes once, not before this returns.
 * False, and an Error: nothing was begun. */
bool interfaces_open(VM *vm, const Settings *settings, InterfacesDone done, void *userdata, Interfaces **ret, Error **ret_error);

/* Moves what was opened into `parts`. */
void interfaces_take(Interfaces *interfaces, MachineParts *parts);

/* Also before `done`, which then does not come; closes what was not taken. */
void interfaces_free(Interfaces *interfaces);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Interfaces, interfaces_free)

/* For a preview: what interfaces_take() would give, with descriptors that are none. */
bool interfaces_preview(const char *uuid, const Settings *settings, MachineParts *parts, Error **ret_error);

/* What [Network NAME] asks for; the strings are the settings'. `vm` and `owner` are the caller's to add. */
bool interface_wish(const char *uuid, const Settings *settings, const char *section, PortWish *ret, Error **ret_error);

/* The VM's MAC on [Network NAME]: MAC=, or one of its own. */
bool interface_mac(const char *uuid, const Settings *settings, const char *section, struct ether_addr *ret, Error **ret_error);
