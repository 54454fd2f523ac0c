/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Machined: systemd-machined is told of a VM that runs, where the host has it, so that machinectl knows it. */

#include "vm.h"

/* Once its scope is there: before that machined would take the unit that vmd itself is in for the VM's. Does not wait, and nothing hangs on it; machined
 * sees by itself that the scope ends. A user's vmd has no machined. */
void machined_register(const VM *vm);
