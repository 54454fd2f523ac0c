/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Image: a disk's files, opened once by vmd and handed to QEMU as descriptors.
 *
 * QEMU's uid reaches no path, so every file of a backing chain is opened here, and from then on only the
 * descriptors count. What stands in an image is hostile: the format is what the settings or the file's name
 * say, never what a guest may have written into its first sector, except that a file that looks like qcow2 under
 * another name is refused with a word on Format=; a backing file's format must be written in the image;
 * chains end at IMAGE_CHAIN_MAX; a chain that comes back to itself is refused.
 *
 * An Image and its descriptors belong to whoever opened it. Knows nothing of VMs. */

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define IMAGE_CHAIN_MAX 64

typedef enum ImageFormat {
    IMAGE_RAW,
    IMAGE_QCOW2,
    _IMAGE_FORMAT_MAX,
} ImageFormat;

typedef struct Image {
    char *path;
    ImageFormat format;
    const char *driver; /* of QEMU's, for what is only imported (foreign.h); NULL: that of the format */
    bool read_only;
    bool block_device;
    bool read_elsewhere; /* when it was opened for writing, somebody had it who wants that nobody does (lock.h); another VM, too */
    bool direct;   /* opened with O_DIRECT, as cache=none wants it; QEMU since 9.1 takes no descriptor of which this is not so */
    int fd;        /* as QEMU writes or, when read_only, reads it */
    int read_fd;   /* the same file, O_RDONLY: QEMU reads the header of a writable image that way first; -1 when read_only */
    dev_t dev;
    bool has_bitmaps; /* says the image: dirty bitmaps are stored in it */
    uint64_t size; /* what a guest sees, as the image says; may be a lie */
    ino_t inode;   /* identity, for "two VMs never write one image"; for a block device dev is st_rdev and inode 0 */
    struct Image *backing; /* read-only; NULL at the end of the chain */
} Image;

typedef struct ImageSpec {
    const char *path;
    const char *format; /* "raw", "qcow2", or NULL: by name */
    bool read_only;
    bool direct;        /* try O_DIRECT; not an error where the file system cannot */
} ImageSpec;

/* What the first bytes of a file say, for lists: nothing is opened by it, and what a guest wrote may stand in it. */
typedef struct ImageInfo {
    ImageFormat format; /* IMAGE_QCOW2 only where the name says so too */
    uint64_t size;      /* what a guest sees */
    char *backing;      /* as it stands in the image; NULL: none */
} ImageInfo;

/* `fd` is at the beginning of a regular file; g_free(ret->backing). */
void image_read_info(int fd, const char *name, ImageInfo *ret);

Image *image_open(const ImageSpec *spec, Error **ret_error);
/* Of one that is open: as far as its file system can. What it is then. */
bool image_set_direct(Image *image, bool direct);
void image_free(Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Image, image_free)

const char *image_format_to_string(ImageFormat format);
