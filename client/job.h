/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Work on volumes and snapshots: calls that begin jobs (or, as a deletion, do it at once), and the wait for their ends, with a bar on a terminal.
 *
 * A failure of one does not keep the others from being tried; the exit code is that of the first one that failed. Ctrl-C cancels what is
 * under way, unlike that of a VM (action.h): nobody wants half a copy. */

#include "client.h"

typedef struct JobKind {
    const char *thing;  /* "Volume" */
    const char *doing;  /* "copying", for the bar */
    const char *noun;   /* "copy", for "its copy was cancelled" */
    const char *undone; /* what a cancelled one leaves: "nothing of it is left" */
} JobKind;

/* One call on one volume, or on a VM's snapshot: then `pool` is the VM. `volume` NULL: on the VM itself. */
typedef struct JobCall {
    char *pool, *volume;
    sd_bus_message *message;
    uint64_t size; /* of what is worked through; 0: not known */
    /* What the answer has behind the job. NULL: nothing. */
    void (*answered)(sd_bus_message *reply, void *userdata);
    void *userdata;
    bool done; /* it was, when job_perform() has returned */
} JobCall;

void job_call_clear(JobCall *call);

/* Sends all messages. Returns an exit code. */
int job_perform(Client *client, const JobKind *kind, JobCall *calls, size_t n);
