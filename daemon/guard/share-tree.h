/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tree: the folder that a helper serves a guest (virtiofsd), and the rights with which it does so.
 *
 * The helper sees the folder at GUARD_TREE in its jail, by a mount of its own that nobody else sees: without set-uid programs, devices
 * and symbolic links that are followed, read-only where that is asked for. The path is opened once more, as its owner and in this mount namespace,
 * and has to be the very folder that vmd has opened.
 *
 * The helper is root in a user namespace, and root in no other; there it has the capabilities that a file server needs and no others.
 * Who that root is:
 *
 *     a VM of root's       everybody is who he is: files have the owners that the guest says
 *     somebody else's VM   its owner, with the owner's groups; nobody else is there, so no file is anybody else's. That
 *                          it takes guests' users' ids it only believes (share-filter.h)
 *     a user's own guard   the same, in the namespace that the jail has anyway; it has no --owner-uid=
 *
 * The namespace belongs to --uid=, which the guard keeps as its effective uid: by that the kernel lets the guard's end be the
 * helper's (PR_SET_PDEATHSIG), though they have different uids. */

#include <stdbool.h>
#include <stdint.h>

#include "options.h"

/* Shows the folder at `place` below the working folder, in the jail that is being built. -1 and errno. */
int tree_show(const Options *options, const char *place);

/* In the forked child: what it needs of /proc, its user namespace, and the last of the jail's mounts, which may not be there before and cannot
 * be made after. Negative errno. */
int tree_enter(const Options *options, int (*close_jail)(const char **ret_what), const char **ret_what);

/* Then: the owner's ids. */
int tree_become_owner(const Options *options, const char **ret_what);

/* Whether all that it does is the owner's. */
bool tree_squashes(const Options *options);

/* What it may have: a bit each. */
uint64_t tree_capabilities(const Options *options);
