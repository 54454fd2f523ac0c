/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Actions: calls on several VMs at once, and the wait for the jobs that they begin.
 *
 * All calls are sent before an answer is awaited. A failure of one does not keep the others from being
 * tried; the exit code is that of the first name that failed. Ctrl-C ends the wait, not the job. */

#include "client.h"

typedef struct Action {
    const struct ObjectKind *kind;
    const char *verb;     /* without the group */
    const char *method;   /* of the kind's interface */
    const char *doing;    /* "stopping", for the progress line */
    const char *noun;     /* "stop", for "its stop goes on" */
    const char *begun;    /* with --no-block: the state in which it counts as begun, "starting"; or NULL */
    const char *end;      /* of a job: the state that the VM is in then */
    const char *harmless; /* with --notify, and where it is only part of another verb: the error that is no failure there */
    bool job;             /* replies with a job */
    bool flags;           /* takes t flags (VM.Delete) */
    bool confirm;         /* asks first, on a terminal */
} Action;

/* Asserts that there is one. */
const Action *action_find(const struct ObjectKind *kind, const char *verb);

/* Returns an exit code. */
int action_perform(Client *client, const Action *action, char **names);
