/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pinning: PinCPUs= of [VM], which of the host's CPUs each virtual one runs on.
 *
 * A virtual CPU is a thread of QEMU's, which is told where it may run when QEMU has answered and before the guest takes its first step, when
 * one has come, and when the setting has changed. It stays so without vmd. */

#include "instance.h"
#include "settings.h"

/* Whether it can be read, and the host has these CPUs. */
bool pinning_check(const Settings *settings, Error **ret_error);

/* Before the first step. */
bool pinning_begin(Instance *instance, const Settings *settings, Error **ret_error);

/* While it runs; what cannot be is said in the journal. */
void pinning_change(Instance *instance, const Settings *settings);
