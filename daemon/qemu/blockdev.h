/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Blockdev: an opened image (storage/image.h) as QEMU's block nodes: a node for the file and one for the format, for each file of
 * the chain. The same for the command line, for what is attached later, and for a storage worker.
 *
 * The nodes of depth N of a disk NAME are "NAME-fileN" and "NAME-nodeN"; "NAME-node0" is what a device is put before. Each
 * opens /dev/fdset/SET, into which the caller has put the image's descriptors. Knows nothing of VMs. */

#include <jansson.h>

#include "image.h"

typedef struct BlockdevOptions {
    bool io_uring;
    bool discard;  /* what is discarded above is freed in the file; zeros count as discarded */
    bool no_flush; /* Cache=unsafe */
} BlockdevOptions;

/* The arguments of blockdev-add; new references. `options` are the disk's; a backing file is only read. */
json_t *blockdev_file(const Image *image, const char *name, unsigned depth, unsigned set, const BlockdevOptions *options);
json_t *blockdev_format(const Image *image, const char *name, unsigned depth, const BlockdevOptions *options);

/* "NAME-file2", "NAME-node2"; the caller frees. */
char *blockdev_file_name(const char *name, unsigned depth);
char *blockdev_node_name(const char *name, unsigned depth);

/* The node of that name in what query-named-block-nodes has answered; borrowed, or NULL. */
const json_t *blockdev_find_node(const json_t *nodes, const char *name);
