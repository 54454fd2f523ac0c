/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VolumeFiles: the files of a piece of work on volumes, and what threads do with them. Used by the other volume*.c only.
 *
 * Reference-counted, since a thread whose file system hangs outlives the work. While a thread runs, all but `copy` is that thread's. */

#include "copy.h"
#include "image.h"

typedef struct VolumeFiles {
    uid_t owner;       /* of what is made; with whose rights the rest is opened */
    char *dir, *name;  /* of the volume */
    bool make;         /* it is new: a part file is made, and put in place in the end */
    bool write;        /* else: whether it is opened for writing */
    char *part;        /* the part file's name, while there is one */
    bool uploaded;     /* the part file is there already: its owner has written it */
    bool keep;         /* it stays when the work fails */
    char *source;      /* path of an image to be read, or NULL */
    const char *source_format;
    int import_fd;     /* or an image that the caller opened; -1: none */
    GArray *backing_fds; /* int: what that one is over */
    bool packed;       /* what comes is compressed, and is unpacked into the part */
    int packed_fd;     /* it, without a name */
    int keyring_fd;    /* which the caller opened; -1: none */
    int keyring;       /* a memfd with what is in it */
    char *sums[2];     /* in hexadecimal, SHA-256 and SHA-512, that what came must have; NULL: not asked */
    mode_t mode;       /* of what is made */

    Image *image;      /* the source, or the volume itself where it is not made */
    int dir_fd, fd, read_fd; /* of the part */
    uint64_t size;     /* to be set, or allocated */
    bool allocate;
    bool shared;       /* all that was to be copied is there */
    CopyState copy;
    Error *error;
} VolumeFiles;

/* The part of an upload, which stays until it is finished or has not been written to for UPLOAD_SECONDS. A new string. */
#define UPLOAD_SUFFIX ".upload"
#define UPLOAD_SECONDS (7 * 24 * 3600)
char *upload_name(const char *name, uid_t owner);

#define SHA256_DIGITS 64
#define SHA512_DIGITS 128

VolumeFiles *volume_files_new(void);
VolumeFiles *volume_files_ref(VolumeFiles *files);
void volume_files_unref(gpointer files); /* the last one removes the part file */

/* In a thread; the result is in `error`. */
void volume_files_source(void *files); /* with the owner's rights */
void volume_files_keyring(void *files);
void volume_files_open(void *files);
void volume_files_size(void *files);  /* of a raw one: sets its size, allocates where asked for */
void volume_files_copy(void *files);  /* source into part, byte for byte */
void volume_files_share(void *files); /* a raw source becomes the part at once, where their file system can */
void volume_files_verify(void *files); /* the sums of what came; and of the part, unless that is yet to be unpacked, that it needs no other file */
void volume_files_unpacked(void *files); /* the latter alone; and what unpacked it may have left no holes */
void volume_files_check(void *files); /* what was uploaded: that it is what its name says, and needs no other file */
void volume_files_wipe(void *files);
void volume_files_commit(void *files);
void volume_files_rename(void *files); /* `name` to `part`; deletes where there is no `part` */
