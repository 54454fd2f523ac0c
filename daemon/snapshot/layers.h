/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Layers: the files of a VM's disks while they are frozen, put back or merged, and what threads do with them. Used by this room only.
 *
 * A disk's path always leads to a whole disk: overlays are made under other names, and names are exchanged or replaced by one
 * rename each. Files in pools are made and renamed with vmd's own rights, others with those of the VM's owner.
 *
 * Reference-counted, since a thread whose file system hangs outlives the work. While a thread runs, all of it is that thread's. */

#include <stdint.h>

#include "image.h"

typedef struct LayerFile {
    char *path;    /* the disk's */
    char *frozen;  /* the snapshot's */
    char *made;    /* base name of the overlay while it is made; nobody else's, whatever is left of it */
    char *open;    /* which of the two is opened, and then what is over that */
    char *format;  /* of what is opened; NULL: by its name */
    bool volume;
    bool direct;
    Image *image;  /* what was opened */
    int dir_fd, fd, read_fd; /* of the overlay */
    uint64_t dev, inode;     /* the same */
    uint64_t disk_dev, disk_inode; /* what has the disk's name when it is opened */
    GPtrArray *others; /* char *: files that could be over the frozen one, beside the one that is known to be; NULL: none */
    bool shared;       /* one of them is */
    mode_t mode;
    uid_t uid;
} LayerFile;

typedef struct Layers {
    uid_t owner;
    GPtrArray *files; /* LayerFile */
    bool write;       /* what is opened is written to */
    bool volumes;     /* the half that the thread is to do */
    const LayerFile *only; /* of the files; NULL: all */
    void (*act)(struct Layers *layers, LayerFile *file, Error **ret_error);
    Error *error;
} Layers;

Layers *layers_new(uid_t owner);
Layers *layers_ref(Layers *layers);
void layers_unref(gpointer layers);
LayerFile *layers_add(Layers *layers, const char *path, const char *frozen, bool volume);

/* What a thread does with each file. */
void layer_open(Layers *layers, LayerFile *file, Error **ret_error);     /* as the owner */
void layer_make(Layers *layers, LayerFile *file, Error **ret_error);     /* an empty overlay file, `made` */
void layer_exchange(Layers *layers, LayerFile *file, Error **ret_error); /* `made` gets the frozen name, and exchanges it with path's */
void layer_undo(Layers *layers, LayerFile *file, Error **ret_error);     /* the same back, and the overlay goes */
void layer_replace(Layers *layers, LayerFile *file, Error **ret_error);  /* `made` takes the place of path */
void layer_sync(Layers *layers, LayerFile *file, Error **ret_error);     /* what was written to it is on the disk */
void layer_settle(Layers *layers, LayerFile *file, Error **ret_error);   /* frozen takes the place of path */
void layer_remove(Layers *layers, LayerFile *file, Error **ret_error);   /* frozen goes */

void layer_find_users(Layers *layers, LayerFile *file, Error **ret_error); /* `shared` */

/* In a thread: act, on volumes or on all others; stops at the first error. */
void layers_run(void *layers);
