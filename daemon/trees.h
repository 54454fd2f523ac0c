/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Trees: what [QEMU] Root= names becomes a QemuTree (qemu/tree.h): a folder as it is, the file system in an image mounted, read-only, in
 * /run/vmd/root by systemd, for as long as somebody refers to the tree.
 *
 * A mount outlives vmd, as VMs do; the next one takes those over that its VMs have recorded, and unmounts the others. One per daemon. */

#include <systemd/sd-event.h>

#include "error.h"
#include "scope.h"
#include "tree.h"

typedef struct Trees Trees;

/* `user`: it can mount nothing. */
Trees *trees_new(sd_event *event, Scopes *scopes, const char *runtime, bool user);
/* Mounts stay: what refers to them goes on without vmd. Before what refers to trees is freed: trees_leave(). */
void trees_leave(Trees *trees);
void trees_free(Trees *trees);

/* Either is set. `tree` is borrowed. */
typedef void (*TreesReply)(QemuTree *tree, const Error *error, void *userdata);

/* `reply` comes once, from the loop: files are looked at in a thread. False: it does not. */
bool trees_get(Trees *trees, const char *root, TreesReply reply, void *userdata, Error **ret_error);
void trees_forget(Trees *trees, const void *userdata); /* its replies do not come any more */

/* For a VM that has run since before vmd: the tree at `root` that is seen at `folder`, a reference; NULL: it is gone, which its QEMU does not mind. */
QemuTree *trees_adopt(Trees *trees, const char *root, const char *folder);
/* After all VMs have been found: unmounts what none of them has. */
void trees_recover(Trees *trees);
