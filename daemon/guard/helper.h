/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helper: vmd-guard as the parent of a program that works for a VM beside its QEMU, such as a TPM.
 *
 *     vmd-guard --helper=yes OPTIONS -- PROGRAM ARGUMENT...
 *
 * The program has what QEMU has (guard.h): a jail, a uid that nobody else has, no capability, a system call filter; but a jail
 * of its own, without /dev/kvm, and it is PID 1 of a PID namespace, so that what it forks ends with it. Its end is told in the status file and takes nobody along. The end of the VM's guard, on the other
 * hand, whose pidfd is --life, is its own, whether or not a vmd is there: nothing of a VM outlives its QEMU. Signals that the
 * scope is sent are no concern of either. */

#include "options.h"

/* All of a helper's life, in vmd-guard's main(); the exit status. */
int helper_run(const Options *options);
