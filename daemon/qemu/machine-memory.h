/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guest's memory as the settings have it: what it is made of, and which NUMA nodes the guest sees ([NUMA NAME]). Whether the host has
 * that much of it is another question (vm/start/host-memory.c). */

#include "cpu-list.h"
#include "machine.h"

typedef struct MachineNode {
    const char *section; /* "NUMA 0"; the settings' */
    CpuList cpus;        /* the guest's */
    uint64_t memory;
    bool bound;          /* its memory comes from: */
    CpuList host_nodes;
    const char *policy;  /* by QEMU's words */
} MachineNode;

/* The nodes in the order of their sections, an empty array where there are none; g_array_unref. NULL and an Error where they are not
 * just what CPUs= and Memory= say. */
GArray *machine_nodes(const Settings *settings, Error **ret_error);

/* The sizes of what QEMU takes the memory from, a descriptor each (MachineParts.memory_fds), in their order: the whole or each node's, and what Memory= can
 * become; an empty array where QEMU makes them itself; g_array_unref. NULL and an Error as above. */
GArray *machine_memory_sizes(const Settings *settings, const QemuBuild *build, Error **ret_error);

/* HugePages=: how large they are, 0 for those that all memory has. With "yes" what the host's kernel prefers; with that a kernel without any has 0, too. */
uint64_t machine_huge_page(const Settings *settings);
