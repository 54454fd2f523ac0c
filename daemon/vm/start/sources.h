/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sources: the files that a VM's settings name by path, opened in a Task, with the rights of the VM's owner.
 *
 * Whoever starts a VM, its disks and its kernel are opened as its owner could open them, never with root's rights unless
 * root owns it. Each path is looked up once. The pools of
 * volumes are started where they do not run. Called by start.c, preview.c and hotplug-disk.c only. */

#include "machine.h"
#include "task.h"
#include "vm.h"

typedef struct SourcesOpening SourcesOpening;

/* `tree`: of its QEMU, whose programs count before the host's. Begins to open what `settings`, which need not outlive this call, name for `vm`. `reader` is the uid that will open kernel and
 * initrd once more through their descriptors, -1: vmd's own. `done` comes as with any Task; its data is for sources_take().
 * False, and an Error: nothing was begun. */
bool sources_open(const VM *vm, const Settings *settings, const QemuTree *tree, uid_t reader, uint64_t timeout_usec, TaskDone done, void *userdata,
    SourcesOpening **ret, Error **ret_error);

/* The same of the disk or share of [SECTION] alone, or of the NVRAM (NVRAM_SECTION), which the VM must have. */
bool sources_open_one(const VM *vm, const Settings *settings, const char *section, uint64_t timeout_usec, TaskDone done, void *userdata,
    SourcesOpening **ret, Error **ret_error);

/* `done` does not come. NULL is fine. */
void sources_abandon(SourcesOpening *opening);

/* Moves what was opened into `parts`: disks, shares, ports, render_node, kernel_fd, initrd_fd, credential_fds. Takes `data`, also when it returns false. */
bool sources_take(void *data, MachineParts *parts, Error **ret_error);

/* Closes what sources_take() gave; may be called twice. */
void sources_close(MachineParts *parts);

/* The mount units of the pools that its disks are in (char *, ends with NULL): at shutdown a VM ends before them. */
GPtrArray *sources_mounts(Manager *manager, const Settings *settings);
