/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs that vmctl runs: journalctl, an editor, a pager. */

#include <stdbool.h>
#include <sys/types.h>

/* In a forked child: the signals as vmctl found them. */
void child_reset_signals(void);

/* Runs argv with vmctl's own stdin, stdout and stderr and waits. Returns its exit status, 128 + N after
 * signal N, or a negative errno when it could not be started. Ctrl-C is the child's while it runs. */
int child_run(const char *const *argv);

/* Starts argv and leaves it to the caller, who waits for the PID. `in`, `out`: its stdin and stdout, -1: vmctl's own. A negative errno. */
pid_t child_start(const char *const *argv, int in, int out);
