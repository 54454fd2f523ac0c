/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bitmaps: what has changed since each checkpoint of a backup (daemon/backup) stands in the file that a disk is written to, and is good
 * only where it has all changes. So when another file becomes that it gets copies: an overlay those of what it is over, a file that
 * is merged into those of what was over it. Going back to a snapshot is no such change: then there are none, and the next backup
 * is a full one.
 *
 * One is spoilt ("inconsistent", says QEMU) where a QEMU that had read it from its image was killed. All that can be done with such a one is
 * to remove it, and no image is made larger before that. */

#include <jansson.h>
#include <stdbool.h>

/* Of a node, as query-named-block-nodes or "inserted" of query-block tell of it: checkpoints' bitmaps that have all changes. A new
 * array. */
json_t *bitmaps_of(const json_t *node);

/* Whether copies of those of `from` can be in `to`, once that is as large as it. */
bool bitmaps_fit(const json_t *from, const json_t *to);

/* Transaction actions that give the node `to` copies of these of the node `from`. */
void bitmaps_copy(json_t *actions, const json_t *bitmaps, const char *from, const char *to);

/* Which of a node's; those that are spoilt are always among them. */
typedef enum BitmapSet {
    BITMAPS_SPOILT,
    BITMAPS_CHECKPOINTS,
    BITMAPS_ALL,
} BitmapSet;

/* Transaction actions that remove them, from the image too. */
void bitmaps_remove(json_t *actions, const json_t *node, BitmapSet set);
