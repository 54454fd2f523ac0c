/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A crowd: processes that share one list of things to do, each takes the next until none is left. */

#include <stdbool.h>
#include <stddef.h>

typedef struct CrowdTask {
    /* In each worker, before the clock runs; its result is `state` below. NULL: failed. */
    void *(*prepare)(void *userdata);
    bool (*act)(void *state, size_t i, void *userdata);
    /* After the clock has stopped; may be NULL. */
    void (*undo)(void *state, void *userdata);
    void *userdata;
} CrowdTask;

/* From the moment when all workers may begin until the last act has returned. Negative errno; -EIO when an
 * act failed. */
int crowd_run(const CrowdTask *task, size_t workers, size_t count, double *ret_ms);
