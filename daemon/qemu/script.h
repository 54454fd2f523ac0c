/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Script: a list of QMP commands that are done in order, some of them jobs whose end is waited for. The first one that fails is its
 * end. For work on images, by a worker of its own (worker.h) or by the QEMU of a VM that runs.
 *
 * Belongs to whoever made it, and is to be freed before its Qmp is. Knows nothing of VMs. */

#include "blockdev.h"
#include "error.h"
#include "qmp.h"

typedef struct Script Script;

/* Once, unless the script is freed before: `error` NULL when all steps are done. */
typedef void (*ScriptDone)(const Error *error, void *userdata);
/* Of the job that runs: 0 to 1. May be NULL. */
typedef void (*ScriptProgress)(double progress, void *userdata);

/* `job_id`: what its jobs are called; no other job of this QEMU is called so. */
Script *script_new(sd_event *event, const char *job_id);
void script_free(Script *script); /* a job that runs goes on; NULL is fine */

/* May add steps, which come after all others. False and an Error: the script ends with that. */
typedef bool (*ScriptAnswer)(const json_t *result, void *userdata, Error **ret_error);

/* Steps. `arguments` is taken. A job is done when it has ended; its "job-id" is set here. */
void script_add_call(Script *script, const char *command, json_t *arguments);
void script_add_question(Script *script, const char *command, json_t *arguments, ScriptAnswer answer, void *userdata);
void script_add_actions(Script *script, json_t *actions); /* of a transaction; taken; none: no step */
void script_add_job(Script *script, const char *command, json_t *arguments);

/* The same with a descriptor, which is duplicated. */
void script_add_fd(Script *script, const char *command, json_t *arguments, int fd);

/* One that becomes ready, such as a commit of what is written to, is otherwise told to complete then. `ready` may come more than once. */
typedef void (*ScriptReady)(void *userdata);
void script_add_job_with(Script *script, const char *command, json_t *arguments, ScriptReady ready, void *userdata);

/* One that a transaction begins: `job` is what it is to do, and both are taken. `answer` comes when the transaction is done, which
 * cannot be undone by the job's end; the step is done when that has come. */
void script_add_transaction(Script *script, json_t *actions, const char *type, json_t *job, ScriptAnswer answer, void *userdata);

/* Puts copies of the descriptors into a set, for /dev/fdset/SET; those that are -1 are left out. */
void script_add_fds(Script *script, unsigned set, const int *fds, size_t n);

/* The nodes of an image and of all that is behind it (blockdev.h): "NAME-node0" is it. Its sets are counted up in *set. */
void script_add_image(Script *script, const Image *image, const char *name, unsigned *set);
void script_add_image_with(Script *script, const Image *image, const char *name, const BlockdevOptions *options, unsigned *set);

void script_run(Script *script, Qmp *qmp, ScriptDone done, ScriptProgress progress, void *userdata);

/* Of the Qmp's events, each; true when it was for the script alone. */
bool script_event(Script *script, const char *name, const json_t *data);

/* Ends the job that runs; `done` comes with ERROR_CANCELLED. Between jobs it is done by its own. */
void script_cancel(Script *script);
