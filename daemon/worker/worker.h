/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Worker: a QEMU without a machine that works on images: makes, resizes, converts them.
 *
 * An image is hostile input, and QEMU is what reads it. So it is read where nothing can be reached from: in a transient
 * service with a uid of its own, no network, no files but programs, and bounds on memory. What it works on comes as descriptors over
 * its monitor (add-fd), which vmd has opened with the rights of whom it works for; it opens no path. It goes with vmd, which would not
 * know what to do with its result.
 *
 * Belongs to whoever made it; knows nothing of VMs and pools. */

#include "scope.h"
#include "script.h"

typedef struct Worker Worker;

/* Once, unless the worker is freed before: `error` NULL when all steps are done. The worker is the callee's to free. */
typedef void (*WorkerDone)(Worker *worker, const Error *error, void *userdata);
/* Of the step that runs: 0 to 1. */
typedef void (*WorkerProgress)(Worker *worker, double progress, void *userdata);

Worker *worker_new(sd_event *event, Scopes *scopes, bool user);

/* Ends it, done or not; what it was writing is in any state. NULL is fine. */
void worker_free(Worker *worker);

/* What it is to do; its steps are added before worker_start(). Borrowed. */
Script *worker_script(Worker *worker);
/* Puts copies of the descriptors into a set of their own, and returns its number: /dev/fdset/N. -1s are left out. */
unsigned worker_add_fds(Worker *worker, const int *fds, size_t n);
/* The nodes of an image with all that is behind it: "NAME-node0" is it. */
void worker_add_image(Worker *worker, const Image *image, const char *name);

/* After `done` without an error, by the same QEMU: what is to follow. The script of before is gone, and `done` comes again. */
Script *worker_more(Worker *worker);
void worker_go_on(Worker *worker);
/* Its monitor, once it was started; borrowed. */
Qmp *worker_qmp(Worker *worker);

/* A name for a unit that no other has; a new string. */
char *worker_unit(void);

/* `binary`: QEMU's path. `unit`: as above. False and an Error: nothing was begun, `done` will not come. */
bool worker_start(Worker *worker, const char *binary, const char *unit, WorkerDone done, WorkerProgress progress, void *userdata,
    Error **ret_error);
