/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wait: for answers from the bus and the ends of jobs, and what can come in between: Ctrl-C, vmd's end, the next moment to show
 * progress. action.c and job.c make one for each wait of theirs, and send their calls then. */

#include "client.h"

typedef struct WaitEvents {
    /* A job has ended. False: it is not known; it may be one whose call has not been answered yet. NULL: no jobs are awaited. */
    bool (*on_job)(const char *job, const char *result, const char *message, void *userdata);
    void (*on_vmd_ended)(void *userdata); /* with on_job only */
    void (*on_signal)(void *userdata);    /* SIGINT or SIGTERM */
    void (*on_tick)(void *userdata);      /* first after `tick_after`, then every `tick_every` µs; NULL: never */
    uint64_t tick_after, tick_every;
} WaitEvents;

typedef struct Wait Wait;

/* NULL: it has said why. */
Wait *wait_new(Client *client, const WaitEvents *events, void *userdata);
void wait_free(Wait *wait); /* leaves the bus open */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wait, wait_free)

/* After the call that began it was answered: on_job is called at once where the job has ended before that. Whether it has. */
bool wait_for_job(Wait *wait, const char *job);

/* Until is_over() says so. A negative errno: the bus broke off. */
int wait_until(Wait *wait, bool (*is_over)(const void *userdata));
