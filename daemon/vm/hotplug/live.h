/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Live: settings that count at once while a VM runs (schema: `live`), carried out. Called by vm.c when it has read the file,
 * and of disks by what starts and attaches them. */

#include "instance.h"

/* What differs from what runs is changed; what cannot be is said in the journal, and stays as it is. */
void vm_apply_live(VM *vm, const Settings *settings);

/* The limits of [Disk NAME], as its device has come; `reply` may be NULL. A negative errno: QEMU cannot be asked. */
int live_limit_disk(Instance *instance, const Settings *settings, const char *section, QmpReply reply, void *userdata);
