/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Process: a QEMU as /proc shows it, and the threads of it that are virtual CPUs.
 *
 * What stands there answers at once. A process is a folder that is open, so it is the same one also when another gets its PID. Knows nothing
 * of VMs. */

#include <stdbool.h>
#include <sys/types.h>

#include "cpu-list.h"

#define KERNEL_FILE_MAX 16384

/* A file that the kernel writes, in one piece; false where it is not there. */
bool kernel_file_read(int dir, const char *name, char buffer[static KERNEL_FILE_MAX]);

/* The folder of `pid`, a child of `parent`; the caller's. A negative errno, -ESRCH where it is another's child. */
int process_open(pid_t pid, pid_t parent);

/* Told of each thread that QEMU has named after a virtual CPU: its number, and its own folder. Each number once. */
typedef void (*VcpuFound)(unsigned index, pid_t thread, int dir, void *userdata);
void process_find_vcpus(int process, VcpuFound found, void *userdata);

/* On which of the host's CPUs a thread of the user `uid` ((uid_t) -1: our own) may run. A thread that is not that user's is left as it is
 * (-EPERM); -EINVAL: its cgroup may use none of these. */
int thread_set_cpus(pid_t thread, uid_t uid, const CpuList *cpus);
int thread_get_cpus(pid_t thread, CpuList *ret);
