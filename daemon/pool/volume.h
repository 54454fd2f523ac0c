/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VolumeWork: something that is done to a volume: it is made, copied, converted, made larger, overwritten. Each is a job (job/job.h).
 *
 * What is made has a name that begins with "." until it is whole and on disk, and goes when the work fails, is cancelled, or vmd ends. Files are
 * opened by threads, with rights of the volume's owner; bytes are copied by a thread; what an image says is read by a Worker only.
 *
 * volume-work.h has what all work has in common, volume-files.h what threads do. Called by pool-dbus.c. */

#include "pool.h"

typedef struct VolumeWork VolumeWork;

typedef enum Preallocation { PREALLOCATE_OFF, PREALLOCATE_METADATA, PREALLOCATE_FULL, _PREALLOCATION_MAX } Preallocation;

/* What a new volume is to be. */
typedef struct VolumeWish {
    const char *name;
    uid_t owner;
    ImageFormat format;
    bool format_set; /* else: by the name, or that of what it is made from */
    uint64_t size;   /* 0: that of what it is made from */
    Preallocation preallocation;
    Pool *from;      /* what it is made from, or NULL */
    const char *volume;
    bool overlay;    /* a qcow2 image over it, in place of a copy */
    bool compress;
    bool image;      /* that disks are made from: root's, and readable for all */
    const GArray *backing; /* int: of an image that is imported, what it is over */
} VolumeWish;

/* Each: false and an Error, or the path of a job, borrowed. */
bool volume_make(Pool *pool, const VolumeWish *wish, const char **ret_job_path, Error **ret_error);
/* From an image that the caller has opened, in a format of foreign.h. The descriptor is copied. */
bool volume_import(Pool *pool, const VolumeWish *wish, int fd, const char *format, const char **ret_job_path, Error **ret_error);
/* An image from a web server, of which at least one of the two checksums is known: as it comes, and it may come compressed. */
typedef struct PullWish {
    const char *name, *url;
    const char *proxy; /* NULL: none */
    const char *sums[2]; /* SHA-256, SHA-512, in hexadecimal; NULL: not known */
    uint64_t max_size;
    /* Or it is known from a list that is signed by a key of a keyring, a file that the caller has opened, which is copied; -1: none. */
    int keyring;
    const char *list, *signature; /* URLs */
} PullWish;

bool volume_pull(Pool *pool, const PullWish *wish, const char **ret_job_path, Error **ret_error);
/* The part that volume_open_upload() made becomes a volume. */
bool volume_finish_upload(Pool *pool, const char *name, uid_t owner, const char **ret_job_path, Error **ret_error);
bool volume_resize(Pool *pool, const Volume *volume, uint64_t size, bool shrink, const char **ret_job_path, Error **ret_error);
bool volume_wipe(Pool *pool, const Volume *volume, const char **ret_job_path, Error **ret_error);

/* volume-open.c: a descriptor for a caller, which is the callee's to close, or -1 and an Error. */
typedef void (*VolumeOpened)(int fd, const Error *error, void *userdata);

/* To read the file as it is; while it is open no QEMU writes it. With the caller's rights where the volume is readable for all, else its owner's. */
void volume_open(Pool *pool, const Volume *volume, uid_t caller, VolumeOpened opened, void *userdata);

/* To write a new volume with, hidden until volume_finish_upload(): what an earlier one left is there. */
void volume_open_upload(Pool *pool, const char *name, uid_t owner, VolumeOpened opened, void *userdata);
void volume_discard_upload(Pool *pool, const char *name, uid_t owner, PoolDone done, void *userdata);

/* At once. `to` NULL: deletes it. */
void volume_rename(Pool *pool, const Volume *volume, const char *to, PoolDone done, void *userdata);

/* Who has it in use or is made from it: a new string, or NULL. Of VMs, those that run and those that name it. */
char *volume_user(const Pool *pool, const Volume *volume, bool *ret_running);

/* A volume that is over it, "volume \"default/web.qcow2\""; a new string, or NULL. */
char *volume_overlay(const Pool *pool, const Volume *volume);

/* ImageIdentity of what it has open (claims.h). */
const GArray *volume_work_images(const VolumeWork *work);
void volume_works_free(Manager *manager);

bool preallocation_from_string(const char *s, Preallocation *ret);
