/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Change: which action a change of a VM's settings needs beyond managing that VM. The one table of the settings that reach
 * beyond it: other users' files, devices, QEMU's command line, the owner. Knows nothing of VMs and of D-Bus. */

#include <sys/types.h>

#include "settings.h"

/* What a change needs; both may be NULL. */
typedef struct ChangeActions {
    const char *action; /* the strictest one of those that contain each other */
    const char *also;   /* and the one for the networks that it names; asked about beside the other */
    char *networks;     /* those, with commas between them */
} ChangeActions;

void change_actions(const SettingsChange *changes, size_t n, ChangeActions *ret);

/* The same for a file's text that becomes another. A text that cannot be read counts as empty. */
void change_actions_of_text(const char *before, const char *after, ChangeActions *ret);
void change_actions_clear(ChangeActions *actions);

/* The user of this host that Owner= means, or our own where it is unset. */
bool change_find_owner(const Settings *settings, uid_t *ret_uid, Error **ret_error);
