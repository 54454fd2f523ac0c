/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GPT: where in an image of a whole disk the root file system is, by the types of partitions that tools which find theirs by themselves go by (UAPI's
 * Discoverable Partitions Specification). What the kernel would do with a block device; mount(8) wants to be told of a file. For threads. */

#include <stdint.h>

typedef struct GptPart {
    uint64_t offset, size; /* bytes; size 0: the whole file, which has no partitions */
} GptPart;

/* -ENODATA: it has partitions, and no root of this machine's architecture, nor one that is any Linux's and the only one; another negative errno:
 * it cannot be read. */
int gpt_find_root(int fd, GptPart *ret);
