/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SnapshotTree: which snapshots a VM has, and which files hold them; as it stands on disk. Knows nothing of QEMU.
 *
 * A snapshot is made of layers, one for each disk: the file that was the disk is frozen under another name, and the disk's own name is from
 * then on a qcow2 image over it, which holds what differs. So the VM's settings stay as they are, and a tree of snapshots is a tree
 * of files:
 *
 *     web.qcow2     what the VM writes to     backed by    web@2.qcow2    (snapshot 2)
 *                                             backed by    web@1.qcow2    (snapshot 1, its parent)
 *
 * A snapshot that is deleted while others are made from it is hidden: its layers stay until one is left that needs them, and are
 * merged with that.
 *
 *     STATE_DIR/snapshots/VM/ID.snapshot   key file: name, parent, layers
 *                            ID.settings   the settings that it ran with, where it has memory, and
 *                            ID.memory     that
 *                            ID.nvram      a copy of the NVRAM, where it has one
 *                            ID.tpm        what its TPM remembers, where it has one
 *                            tree          which snapshot the VM's disks come from, and what was being done */

#include <stdint.h>

#include "error.h"

typedef struct Layer {
    char *section; /* "Disk root" */
    char *path;    /* the disk's file */
    char *frozen;  /* what became of it */
    char *format;  /* of that: "raw", "qcow2" */
    uint64_t dev, inode; /* of the overlay, while it is made: who has which name by then */
    bool volume;   /* in a pool: files there are vmd's to make; else its owner's */
} Layer;

typedef struct Snapshot {
    unsigned id;     /* from 1 on, never used again */
    unsigned parent; /* 0: none */
    char *name;
    char *description;
    uint64_t created; /* µs, CLOCK_REALTIME */
    bool memory;
    char *machine;    /* full name, with memory */
    bool tpm;         /* it has its TPM's state, or is to have */
    bool resumes;     /* the guest is to go on, while it is made; not yet whole */
    bool quiesced;    /* the guest's file systems were frozen */
    char *nvram;      /* file of the NVRAM, of which there is a copy; NULL: it had none */
    char *unquiesced; /* why they were not; NULL: nobody wanted it */
    bool hidden;      /* deleted, and only kept for others */
    bool passed_by;   /* cannot be merged now; not on disk */
    GPtrArray *layers; /* Layer */
} Snapshot;

typedef enum SnapshotAct { SNAPSHOT_NOTHING, SNAPSHOT_CREATE, SNAPSHOT_REVERT, SNAPSHOT_MERGE, _SNAPSHOT_ACT_MAX } SnapshotAct;

typedef struct SnapshotTree {
    char *dir;
    GPtrArray *all;    /* Snapshot, by id */
    unsigned current;  /* what the disks come from; 0: none */
    unsigned last;     /* id */
    SnapshotAct act;   /* under way, or was when vmd ended */
    unsigned subject;  /* its snapshot */
} SnapshotTree;

/* Reads it; a VM without snapshots has an empty one. NULL and an Error where it cannot be read. */
SnapshotTree *snapshot_tree_load(const char *dir, Error **ret_error);
void snapshot_tree_free(SnapshotTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SnapshotTree, snapshot_tree_free)

/* Writes `current`, `last` and what is under way. */
bool snapshot_tree_write(const SnapshotTree *tree, Error **ret_error);
bool snapshot_write(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error);

/* Before the disks are frozen: what would be to be written if all else failed after that, when there may be no room for it. Then either
 * puts it in place, the snapshot hidden and the disks made from it, or removes it. */
bool snapshot_prepare_hidden(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error);
bool snapshot_hide_prepared(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error);
void snapshot_forget_prepared(const SnapshotTree *tree, const Snapshot *snapshot);

/* Takes it out of the tree, and removes what it has in the tree's folder; its layers stay. */
void snapshot_remove(SnapshotTree *tree, Snapshot *snapshot);

/* A new one with the next id, in the tree but not on disk. */
Snapshot *snapshot_add(SnapshotTree *tree, const char *name);
Layer *snapshot_add_layer(Snapshot *snapshot, const char *section, const char *path, const char *format, bool volume);

/* Not the hidden ones. */
Snapshot *snapshot_find(const SnapshotTree *tree, const char *name);
Snapshot *snapshot_find_or_error(const SnapshotTree *tree, const char *vm, const char *name, Error **ret_error);
Snapshot *snapshot_find_id(const SnapshotTree *tree, unsigned id);
Layer *snapshot_find_layer(const Snapshot *snapshot, const char *section);

/* How many come from it: snapshots, and the VM's disks. *ret_child: one of them, 0 for the disks. */
unsigned snapshot_count_children(const SnapshotTree *tree, const Snapshot *snapshot, unsigned *ret_child);

/* New strings: a file of it, "memory", "settings". */
char *snapshot_file(const SnapshotTree *tree, const Snapshot *snapshot, const char *suffix);
