/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SnapshotWork: what create.c, revert.c and delete.c have in common: a list of steps, each of which goes on to the next when it is
 * done, by itself or on an answer. Nobody outside of daemon/snapshot includes this. */

#include "bitmaps.h"
#include "instance.h"
#include "steps.h"
#include "layers.h"
#include "machine.h"
#include "manager.h"
#include "quiesce.h"
#include "script.h"
#include "snapshot.h"
#include "sync.h"
#include "worker.h"

typedef void (*SnapshotStep)(SnapshotWork *work);

struct SnapshotWork {
    VM *vm;
    Job *job;
    SnapshotTree *tree;
    Snapshot *snapshot;     /* in the tree */
    Snapshot *kept;         /* the same while others are merged */
    Layers *layers;
    const SnapshotStep *next; /* ends with NULL: the work is done */
    void (*undo)(SnapshotWork *work, Error *error); /* how it fails; takes the error. NULL: work_finish() */
    bool (*event)(SnapshotWork *work, const char *name, const json_t *data); /* QEMU's; NULL: none matters */
    void (*on_end)(SnapshotWork *work); /* of the instance; NULL: that is a failure */

    sd_event_source *soon;
    Task *task;
    void (*tasked)(SnapshotWork *work);
    Worker *worker;
    Script *live;           /* steps of the VM's own QEMU */
    struct LiveMerge *merge; /* merge-live.c */
    LayerFile *merged;       /* its lower one */
    char **nodes;           /* top nodes of the disks, as layers->files */
    json_t *bitmaps;        /* of each of these, those that go along (bitmaps.h); NULL: none do */
    bool keeps_bitmaps;     /* what is made for the disks has those of what it is over */
    VMState before;
    Error *error;           /* why it is being undone */
    bool paused;            /* by this work */
    bool cancelled;
    bool ended;             /* the instance has, while a thread runs */
    QuiesceMode wish;
    Quiesce *quiesce;       /* the guest's file systems are frozen, or are to be */
    bool noded;             /* QEMU has nodes of the overlays, or some */
    bool frozen;            /* QEMU writes into the overlays */
    int memory_fd;
    int nvram_fds[2];       /* of the copy that QEMU makes of the NVRAM, and the same for reading; -1: none */
    char *nvram_node;       /* what is copied; NULL: none */
    bool has_tpm;
    char *tpm;              /* what it remembers (vm/helper/tpm.h) */
};

SnapshotWork *work_new(VM *vm, JobType type, SnapshotTree *tree, const SnapshotStep *steps);
/* Not before the caller has answered with the job: it may be done at once. */
void work_begin(SnapshotWork *work);
void work_next(SnapshotWork *work);
void work_fail(SnapshotWork *work, Error *error); /* takes it */
void work_finish(SnapshotWork *work, const Error *error);

/* Whether no other VM, and no job, has one of the opened disks; else it fails. */
bool work_check_unused(SnapshotWork *work);

/* Steps that more than one has. */
void work_open(SnapshotWork *work);     /* layers->files[].open */
void work_make(SnapshotWork *work);     /* empty files */
void work_overlays(SnapshotWork *work); /* qcow2 images in them */

/* A thread does `act` with all files; then `done`. */
void work_act(SnapshotWork *work, void (*act)(Layers *layers, LayerFile *file, Error **ret_error), void (*done)(SnapshotWork *work));

/* What a file is called while it is made for this path; a new string. */
char *work_made_name(const SnapshotWork *work, const char *path);

/* What the nodes of a layer's overlay are called in the QEMU of a VM that runs (blockdev.h); new strings. */
char *work_overlay_name(const Snapshot *snapshot, const Layer *layer);
char *work_overlay_node(const Snapshot *snapshot, const Layer *layer);
/* QEMU writes into the overlays now: what the instance has open. */
void work_claim_overlays(SnapshotWork *work);

/* The disks of the settings that the VM writes to; false and an Error where there is none, or one has no file. */
bool work_add_disks(SnapshotWork *work, const Settings *settings, Error **ret_error);

/* The set of descriptors of the i-th disk's overlay in the VM's QEMU; beyond those of the disks, of the NVRAM's copy. */
#define SNAPSHOT_DISKS_MAX 63U
unsigned work_overlay_set(const SnapshotWork *work, unsigned i);
/* What its own QEMU's jobs are called; a new string. */
char *work_script_id(const SnapshotWork *work);

/* nvram.c, of a making: whether there is one to be kept; a step: a copy of it, or of a VM that runs an empty file;
 * which QEMU opens, and in one transaction with `actions` (taken) begins to copy to; a step: that it is on disk. */
void work_nvram_find(SnapshotWork *work, const Settings *settings);
void work_nvram_keep(SnapshotWork *work);
void work_nvram_add_nodes(SnapshotWork *work);
void work_nvram_add_freeze(SnapshotWork *work, json_t *actions, ScriptAnswer frozen);
void work_nvram_remove_nodes(SnapshotWork *work); /* whatever there is of it */
void work_nvram_sync(SnapshotWork *work);
/* Of going back: steps, that it is there, and that it has its name; and what is undone. */
void work_nvram_fetch(SnapshotWork *work);
void work_nvram_put(SnapshotWork *work);
void work_nvram_unfetch(SnapshotWork *work);

/* revert.c: not begun yet. */
SnapshotWork *snapshot_begin_revert(VM *vm, SnapshotTree *tree, Snapshot *snapshot);

/* The guest goes on, where this work has paused it. */
void work_go_on(SnapshotWork *work);

/* delete.c: merges what nobody needs any more, step by step; a step of its own. */
void work_merge(SnapshotWork *work);

/* merge-live.c: the QEMU of the VM that runs writes what is in `upper` into `lower`, which takes its place, in the record too; both
 * have been opened for writing. Then `done`; or the work fails, and all is as it was. */
void work_merge_live(SnapshotWork *work, LayerFile *lower, LayerFile *upper, void (*done)(SnapshotWork *work));
/* What a vmd that was killed has merged into what is now at `path`: what the instance has open. */
void work_claim_merged(SnapshotWork *work, const Layer *layer, const char *path);
/* The VM has ended meanwhile: the work ends, and the rest is merged another time. */
void work_merge_ended(SnapshotWork *work);
/* Ends that: false where it cannot be ended any more. */
bool work_cancel_merge(SnapshotWork *work);
/* Of a VM that runs: where an earlier one has left the guest paused it goes on after this one. */
void work_take_up_merge(SnapshotWork *work);
/* What a vmd that was killed had told QEMU is ended; a step of its own. */
void work_end_live_merge(SnapshotWork *work);
void live_merge_free(struct LiveMerge *merge);
