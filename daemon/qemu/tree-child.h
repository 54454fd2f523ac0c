/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* TreeChild: a program of a tree that answers one question, as a Child does (child.h), but in the jail that it will have when a VM is on it:
 * vmd's own sandbox lets it make none, so a vmd-guard does (guard/helper.h), which ends with vmd.
 *
 * Belongs to whoever made it; tree_child_free() kills it, may be called from the callback, and then nothing is called any more. */

#include "child.h"
#include "spawn.h"
#include "tree.h"

typedef struct TreeChild TreeChild;
typedef void (*TreeChildEnded)(const ChildEnd *end, void *userdata);

/* `fd` is the program's, under its number, and is closed here when it has it; taken. `user`: without uids of its own. Negative errno: there
 * is none and nothing will be called. */
int tree_child_new(sd_event *event, Spawner *spawner, bool user, QemuTree *tree, const char *const *argv, int fd, uint64_t timeout_usec, TreeChildEnded ended,
        void *userdata, TreeChild **ret);
void tree_child_free(TreeChild *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeChild, tree_child_free)

/* `ended` follows. */
void tree_child_kill(TreeChild *child);
