/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Programs of the host's, or a tree's (tree.h), that are a device of QEMU's by vhost-user, as QEMU's descriptors tell (descriptor.h). */

#include <stdbool.h>

#include "error.h"

/* The path of the first one of `type` ("fs") that is there; a new string. NULL and an Error that says `remedy`. `root_fd`: of which tree; -1: the host's own. `user`: also those that the
 * user has described. Called in a Task. */
char *vhost_user_find(int root_fd, const char *type, bool user, const char *thing, const char *remedy, Error **ret_error);
