/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sync: a file's data onto its disk, in a Task: with gigabytes of a guest's memory that takes seconds. */

#include "error.h"
#include "task.h"

/* `error`: 0, or a negative errno. */
typedef void (*SyncDone)(int error, void *userdata);

/* `fd` is duplicated. Negative errno: nothing was begun. *ret is abandoned as any Task. */
int sync_begin(sd_event *event, int fd, SyncDone done, void *userdata, Task **ret);

/* Why a QEMU that was to write into it did not: of what it has migrated to QEMU says only that it failed. */
void sync_explain(int fd, const char *thing, const char *what, const char *status, Error **ret_error);
