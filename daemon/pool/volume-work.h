/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VolumeWork: one piece of work on a volume, step by step; its kind says which of the steps it has:
 *
 *     source    what it is made from, opened with the owner's rights    in a thread
 *     open      the part file is made, or the volume opened             in a thread
 *     sums      its checksum, where that is to be found first           SignedSums
 *     fetch     what a web server has                                   a Download
 *     labour    bytes or sizes                                          in a thread, with progress
 *     unpack    of what was fetched, where it is compressed             an Unpack
 *     work      what only a reader of images can do                     a Worker
 *     commit    onto the disk, and under its name                       in a thread
 *
 * A step that fails ends the work; what was made goes with its files. Used by volume.c, which makes it as callers wish, and volume-steps.c, which
 * has the kinds, and what is told to workers. Owned by the Manager. */

#include "download.h"
#include "manager.h"
#include "signed-sums.h"
#include "unpack.h"
#include "volume-files.h"
#include "volume.h"
#include "worker.h"

/* What there is to do; `job` says what it is. */
typedef struct WorkKind {
    JobType job;
    bool make; /* a new volume */
    TaskRun labour[_IMAGE_FORMAT_MAX];                      /* NULL: none */
    void (*add_steps[_IMAGE_FORMAT_MAX])(VolumeWork *work); /* NULL: no worker */
    bool fetch;
    bool live; /* the VM that has it open does it */
} WorkKind;

struct VolumeWork {
    Manager *manager;
    Pool *pool;
    Job *job;
    const WorkKind *kind;
    VolumeFiles *files;
    Task *task;
    Worker *worker;
    Download *download;
    Unpack *unpack;
    SignedSums *signed_sums;
    char *url, *proxy, *list, *signature; /* the latter two: of signed checksums; NULL: they are known */
    uint64_t max_size; /* of what is fetched */
    GArray *images;    /* ImageIdentity */
    sd_event_source *progress;
    ImageFormat format;
    uint64_t size;
    Preallocation preallocation;
    bool compress;
};

extern const WorkKind volume_create_kind, volume_overlay_kind, volume_clone_kind, volume_convert_kind, volume_import_kind, volume_pull_kind, volume_upload_kind,
    volume_resize_kind, volume_wipe_kind;

/* With its job and its files, to be filled in before it begins. From then on it frees itself. */
VolumeWork *volume_work_new(Pool *pool, const WorkKind *kind, const char *name, uid_t owner);
void volume_work_begin(VolumeWork *work);
