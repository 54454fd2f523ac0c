/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Machined: systemd-machined is told of a VM that runs, where the host has it, so that machinectl knows it. */

#include "vm.h"

/* Once its scope is there: before that machined would take the unit that vmd itself is in for the VM's. Does not wait, and nothing hangs on it; machined
 * sees by itself that the scope ends. A user's vmd has no machined. */
void machined_register(const VM *vm);

/* machined stops the scope of a machine that it finds ended, by its name: which the next run of the VM has, too. So that one waits while the last one is in the
 * list. NULL where it is not; else `done` comes once, without an Error, when it is no longer, or after five seconds. */
typedef struct MachinedWait MachinedWait;
MachinedWait *machined_await(const VM *vm, VMDone done, void *userdata);
void machined_wait_free(MachinedWait *wait); /* `done` does not come; NULL is fine */
