/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Change: which action a change of a VM's settings needs beyond managing that VM. The one table of the settings that reach
 * beyond it: other users' files, devices, QEMU's command line, the owner. Knows nothing of VMs and of D-Bus. */

#include <sys/types.h>

#include "settings.h"

/* The strictest action that one of the changes needs (access.h); NULL: none. */
const char *change_action(const SettingsChange *changes, size_t n);

/* The same for a file's text that becomes another. A text that cannot be read counts as empty. */
const char *change_action_of_text(const char *before, const char *after);

/* The user of this host that Owner= means, or our own where it is unset. */
bool change_find_owner(const Settings *settings, uid_t *ret_uid, Error **ret_error);
