/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* BackupWork: what the files of this room have in common: a list of steps, each of which goes on to the next when it is done. However
 * it ends, what it has put into a QEMU that goes on is taken out again (undo.c). Nobody outside of daemon/backup includes this. */

#include "backup.h"
#include "instance.h"
#include "machine.h"
#include "manager.h"
#include "script.h"
#include "sources.h"
#include "steps.h"
#include "worker.h"

/* Block nodes of a disk while it is backed up, after its own name (blockdev.h), so that what QEMU says of them is known to be the disk's. */
#define NODE_FILTER "backup"    /* copy-before-write, in the device's place */
#define NODE_SCRATCH "scratch"
#define NODE_POINT "point"      /* what the disk held */
#define NODE_COPY "copy"        /* of a push: the target */
#define NODE_COPY_FILE "copyfile"
#define NODE_NOTHING "nothing"  /* stands for what an increment is over */

/* Bitmaps of this work alone; they are not stored. */
#define BITMAP_COPY "vmd-copy"  /* what is to be copied */
#define BITMAP_NEW "vmd-new"    /* what changes from the moment on */
#define BITMAP_PREFIX "vmd-"    /* of checkpoints: "vmd-TIME-NAME" */
#define BITMAP_GRANULARITY 65536
#define CHECKPOINTS_MAX 16U     /* on a disk; the oldest goes */

#define BACKUP_JOB "vmd-backup"
#define BACKUP_QMP_USEC (30 * G_USEC_PER_SEC)
/* Sets of descriptors, beyond those of the start and of snapshots, below those of what is attached. Each backup has others, since QEMU does
 * not close what is taken out of a set before its guest runs. */
#define SET_BASE (1U << 20)
#define SET_BLOCKS 15000U
#define SET_BLOCK 1024U
#define SETS_OF_DISK 2U

typedef struct Disk {
    char *section, *name, *stem;
    char *path;      /* of a VM that runs: beside it is the scratch file */
    bool volume;
    bool nvram;      /* it is the NVRAM: always copied whole, while the guest stands still, so there is no filter and no bitmap */
    char *node;      /* what the guest writes to */
    uint64_t size;
    bool has_bitmaps;
    bool filtered;   /* the device is on the filter, as QEMU says when it is to be undone */
    char *since;     /* bitmap; NULL: all of it is copied */
    char *checkpoint; /* bitmap that it gets; NULL: none */
    GPtrArray *stale; /* bitmaps that go */
    int scratch_fd;
    int target_fd;   /* the caller's, or without a name */
    char *backing;
    Image *image;    /* of a VM that does not run */
    unsigned depth;  /* of its chain */
} Disk;

typedef void (*BackupStep)(BackupWork *work);

struct BackupWork {
    VM *vm;
    Job *job;              /* NULL: a recovery's */
    const BackupStep *next;
    GPtrArray *disks;      /* Disk */
    unsigned sets;         /* the first of its own */
    bool live;             /* in the QEMU of the VM */
    bool pull, compress;
    int socket;
    char *since, *checkpoint;
    QuiesceMode quiesce;
    uint64_t bandwidth;
    sd_bus_track *caller;
    BackupBegun begun;     /* NULL: it was told */
    void *begun_userdata;
    VMDone ended;          /* of a pull */
    void *ended_userdata;

    sd_event_source *soon;
    Task *task;
    SourcesOpening *opening;
    Settings *settings;
    guint opened;          /* disks */
    GArray *images;        /* ImageIdentity */
    Quiesce *quiescing;    /* the guest's file systems are at rest */
    Worker *worker;
    Worker *server;        /* of a pull */
    Script *script;        /* of the VM's QEMU */
    BackupStep scripted;
    uint64_t copied;       /* bytes of disks that are done */
    const Disk *copying;
    bool holding;          /* the guest, for a moment */
    bool was_running;      /* of a recovery: before that */
    int tpm_fd;            /* a memfd of the caller's; -1: none */
    bool quiesced, undoing, in_qemu;
    bool serving;          /* QEMU has nothing of it any more */
    bool offered;
    Error *error;          /* why it is being undone */
};

/* Goes on: the next step, or the end. */
void backup_next(BackupWork *work);
/* Takes the error. What is in QEMU is taken out first. */
void backup_fail(BackupWork *work, Error *error);
/* All is done, or undone (work->error). */
void backup_finish(BackupWork *work);

/* A new script of the QEMU that does it; steps are added, then it is run, and `then` comes when it was all done. */
Script *backup_script(BackupWork *work);
void backup_run(BackupWork *work, BackupStep then);
/* The monitor of that QEMU; NULL where it is gone. */
Qmp *backup_qmp(const BackupWork *work);

BackupWork *backup_work_new(VM *vm, const BackupStep *steps);
Disk *backup_add_disk(BackupWork *work, const char *section);
char *backup_node(const Disk *disk, const char *what); /* a new string */
unsigned backup_set(const BackupWork *work, const Disk *disk, unsigned which);

/* Steps. */
void backup_open(BackupWork *work);     /* open.c: files without a name, and the disks of a VM that does not run */
void backup_look(BackupWork *work);     /* look.c: nodes and bitmaps */
void backup_record(BackupWork *work);   /* recover.c: so that the next vmd can undo it */
void backup_fix(BackupWork *work);      /* fix.c: the moment */
void backup_copy(BackupWork *work);     /* copy.c */
void backup_commit(BackupWork *work);   /* fix.c: it is a checkpoint */
void backup_undo(BackupWork *work);     /* undo.c; goes on where there was no error */
void backup_serve(BackupWork *work);    /* serve.c: a pull; it ends with vm_backup_end() */

/* undo.c: it was not wanted after all. */
void backup_take_back(BackupWork *work);
/* copy.c: the caller is answered. */
void backup_tell(BackupWork *work);

/* recover.c */
void backup_forget_record(const VM *vm);
