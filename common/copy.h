/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copy: the bytes of one file into another, for threads: it waits for disks. vmd makes volumes with it, vmctl takes them out and in.
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

/* `to` has the first `done` bytes already, which are 0 where it is empty. Negative errno; -ECANCELED: then, as after an error, what is
 * below `done` is right, and nothing else. */
int copy_file(int from, int to, CopyState *state);

/* All of it, where both are on one file system that can share it; else a negative errno, and nothing was read. */
int copy_share(int from, int to);

/* The same as copy_file() where one of the two is a pipe, or anything else that is read or written from its beginning to its end: zeros become holes where
 * `to` is a file, which must be empty. A signal whose handler does not restart calls makes it look at `cancelled`. */
int copy_stream(int from, int to, CopyState *state);

/* Makes holes of what is zeros, where the file system can. */
int copy_dig_holes(int fd, CopyState *state);

/* Writes zeros over all that is there, without making the file larger, and onto the disk. */
int copy_zeros(int fd, CopyState *state);
