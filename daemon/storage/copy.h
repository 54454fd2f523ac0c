/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copy: the bytes of one file into another, for threads (task/task.h): it waits for disks.
 *
 * What the file system can share is shared (reflink), so a copy of any size takes no time; else holes stay holes. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared between the thread and the loop. */
typedef struct CopyState {
    atomic_bool cancelled;
    _Atomic uint64_t done, total; /* bytes */
} CopyState;

/* `to` is empty. Negative errno; -ECANCELED. */
int copy_file(int from, int to, CopyState *state);

/* Writes zeros over all that is there, without making the file larger, and onto the disk. */
int copy_zeros(int fd, CopyState *state);
