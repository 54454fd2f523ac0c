/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Usage: what the kernel has counted of a cgroup, and of the threads of one process in it.
 *
 * All is read from files of the kernel's that answer at once. What a controller that is not there would count is left out.
 * Knows nothing of VMs. */

#include <sys/types.h>

#include "figures.h"

/* `cgroup`: an open folder. Groups "cpu", "memory", "io", "tasks" and "pressure", as GetStatistics() of org.vmd1.VM has them. */
void usage_read(int cgroup, Figures *figures);

/* Of `pid`, a child of `parent` (else nothing is added): "vcpus", its threads that QEMU has named after virtual CPUs; and
 * "process", what it has of memory. */
void usage_read_process(pid_t pid, pid_t parent, Figures *figures);
