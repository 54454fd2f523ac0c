/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuChild: QEMU as the guard's child, from fork to its end. */

#include <stdbool.h>
#include <sys/types.h>

#include "jail.h"
#include "options.h"

typedef struct QemuChild {
    pid_t pid;
    int output; /* read end of the pipe that is its stdout and stderr; does not block */
    int failed; /* read end of a pipe on which the child reports that it could not become QEMU */
} QemuChild;

/* Forks and executes QEMU, confined. All signals are blocked in the caller. Returns a negative errno. What
 * fails in the child is told on its stderr, in a line, and then by qemu_child_executed(). */
int qemu_child_start(const Options *options, const Jail *jail, QemuChild *ret);

/* Closes all descriptors but the guard's own: what was opened for QEMU is QEMU's alone. */
void qemu_child_close_inherited(const int *own, unsigned n_own);

/* Collects QEMU if it has ended: returns true and either the code or the signal, the other being 0. */
bool qemu_child_ended(const QemuChild *child, int *ret_code, int *ret_signal);

/* Whether QEMU was executed at all. For when it has ended. */
bool qemu_child_executed(const QemuChild *child);
