/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Backups of a VM: what its disks hold at one moment, all of it or what has changed since an earlier one, while the guest goes on
 * writing. QEMU writes it to files of the caller's (push), or to files without a name, which a Worker then offers over NBD on a socket
 * of the caller's (pull): no stranger talks to the QEMU of a guest, which has nothing to do with it by then any more.
 *
 * Of a VM that runs, the moment is fixed by a filter before each disk, which copies what the guest is about to overwrite into a
 * scratch file: so the guest waits neither for the caller's files nor for their file system, and where the scratch file cannot be
 * written it is the backup that fails. Of one that does not run, a Worker does the same without a filter.
 *
 * A checkpoint is a persistent dirty bitmap in each disk's qcow2 image, "vmd-TIME-NAME", and nothing else: no list is kept beside it
 * that could say something different. What holds is: a bitmap in the topmost file of a disk has all changes since its checkpoint.
 * It is made when its backup is whole. Those that QEMU calls inconsistent, since it was killed, are removed by the next backup.
 *
 * One at a time for each VM. Meanwhile it can be paused, stopped and so on, but not saved, and its disks stay as they are. Called by
 * vm-backups.c, and by the rooms of the VM for what happens to it. */

#include <jansson.h>

#include "quiesce.h"
#include "vm.h"

typedef struct BackupWork BackupWork;

typedef struct BackupTarget {
    char *disk;    /* NAME of [Disk NAME] */
    char *backing; /* what stands in an increment as the image that it is over; not opened */
    int fd;        /* an empty file, open for reading and writing; its owner closes it */
} BackupTarget;

typedef struct BackupWish {
    GArray *targets;        /* BackupTarget, taken; NULL: pull, of all disks */
    int socket;             /* pull: a unix socket that listens; duplicated. Else -1 */
    const char *since;      /* a checkpoint; NULL: all of it */
    const char *checkpoint; /* that it becomes one; NULL: none */
    QuiesceMode quiesce;
    const char *caller;     /* unique name on the bus: what it began goes with it */
    int tpm;                /* an empty memfd, for what its TPM remembers at the moment; duplicated. -1: nobody wants it */
    bool compress;
    uint64_t bandwidth;     /* bytes a second; 0: no limit */
} BackupWish;

/* What was fixed of a disk. */
typedef struct BackupDisk {
    const char *name;
    uint64_t size;
    bool incremental; /* only what has changed since the checkpoint; else all, since a raw image knows of none */
    bool checkpoint;  /* it can be one */
} BackupDisk;

/* Once: when the moment is fixed, or, of a pull, when it is offered; or an error. */
typedef void (*BackupBegun)(const char *job_path, bool quiesced, const BackupDisk *disks, size_t n, const Error *error, void *userdata);

GArray *backup_targets_new(void);

/* False and an Error: nothing was begun. */
bool vm_backup(VM *vm, const BackupWish *wish, BackupBegun begun, void *userdata, Error **ret_error);

/* A pull has ended; `keep`: the caller has all of it, so the checkpoint counts. */
bool vm_backup_end(VM *vm, bool keep, VMDone done, void *userdata, Error **ret_error);

/* Busy while there is one, until it is only offered. */
bool vm_check_unbacked(const VM *vm, Error **ret_error);
/* Whether it has just stopped the guest for a moment. */
bool backup_holds_guest(const BackupWork *work);

/* Who has an image of a VM that does not run open (claims.h); NULL: none. */
GArray *backup_images(const BackupWork *work);

/* QEMU's events; true when it was for this work alone. */
bool backup_event(BackupWork *work, const char *name, const json_t *data);
void backup_instance_ended(BackupWork *work);
/* Without a word to anybody. */
void backup_free(BackupWork *work);

/* The monitor of a VM that ran before this vmd did is there: what a vmd that was killed has left in its QEMU is taken away. */
void backup_recover(VM *vm);
