/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Snapshots of a VM: made, gone back to, deleted. Each is a job; one at a time for each VM, and meanwhile nothing else is begun
 * with it. tree.h says what a snapshot is.
 *
 * What a vmd that was killed had begun is undone, or gone on with, by the next one (snapshots_recover()). Called by vm-dbus.c. */

#include <jansson.h>

#include "quiesce.h"
#include "tree.h"
#include "vm.h"

typedef struct SnapshotWork SnapshotWork;

typedef struct SnapshotWish {
    const char *name, *description;
    bool memory; /* of a VM that runs: what is in its memory, too */
    QuiesceMode quiesce; /* where its memory is not kept */
} SnapshotWish;

/* Each: false and an Error, or the path of a job, borrowed. */
bool vm_snapshot_create(VM *vm, const SnapshotWish *wish, const char **ret_job_path, Error **ret_error);
/* Of a VM that runs, what it does now ends. It runs again where the snapshot has memory, else it is stopped. */
bool vm_snapshot_revert(VM *vm, const char *name, const char **ret_job_path, Error **ret_error);
/* What others are made from stays on disk as long as they need it. */
bool vm_snapshot_delete(VM *vm, const char *name, const char **ret_job_path, Error **ret_error);

/* A new one; NULL and an Error. */
SnapshotTree *vm_snapshots(const VM *vm, Error **ret_error);

/* Fills in vm->snapshots. */
void vm_count_snapshots(VM *vm);
/* ERROR_IN_USE: it has some. */
bool vm_check_unsnapped(const VM *vm, Error **ret_error);
/* Of a VM that is to be deleted: what is left of snapshots that were deleted; its disks stay whole. ERROR_IN_USE: it has others. */
bool vm_forget_snapshots(VM *vm, Error **ret_error);

/* Whether a snapshot says that the disk at `path` is a qcow2 image over it, whatever its name. */
bool vm_disk_is_overlay(const SnapshotTree *tree, const char *path);

/* QEMU's events; true when it was for this work alone. */
bool snapshot_event(SnapshotWork *work, const char *name, const json_t *data);
/* Whether nothing is lost by the VM's end. */
bool snapshot_may_end(const SnapshotWork *work);
/* The instance ends: what is asked of its QEMU has no answer any more. */
void snapshot_instance_ending(SnapshotWork *work);
/* The instance has ended, by this work's own doing or not. */
void snapshot_instance_ended(SnapshotWork *work);
/* Without a word to anybody. */
void snapshot_work_free(SnapshotWork *work);

/* vmd's start, after the VMs are known. */
void snapshots_recover(Manager *manager);
