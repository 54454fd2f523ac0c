/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jail: what the guard and QEMU see of the host: next to nothing.
 *
 * A mount namespace whose root is a read-only tmpfs with /usr (that of the host, or of another tree, --root=), the loader's cache, /proc, the few device
 * nodes that QEMU opens by name and an own /tmp in it; a network namespace without a network; IPC and UTS namespaces.
 * No user namespace can be made in it, which is where most of what the kernel keeps from users can be had. Its root has /tmp
 * mounted over it for that: who comes with setns() sees that, and has to take the root of a process that is in it.
 * What a VM uses comes as descriptors, which do not care. Costs about a millisecond of a start.
 *
 * Root's guard needs no more than that, since QEMU has a uid of its own that nobody else has, so /proc hides the rest
 * (hidepid=) and signals reach nobody. A user's guard has QEMU under the user's own uid: it is in a user namespace,
 * where it may make the others, and QEMU in a PID namespace. Where the host allows no user namespaces the guard says so and goes
 * on without a jail, since refusing to run anything would help nobody.
 *
 * A helper is in a PID namespace in either case: what it may fork goes with it. One that serves a folder has its /proc and its user
 * namespace from share-tree.h.
 *
 * Built before QEMU is forked, since what both see is the same. */

#include <stdbool.h>

#include "options.h"

typedef struct Jail {
    bool entered;
    bool own_pids; /* QEMU, or the helper, is PID 1 of a PID namespace */
} Jail;

/* Moves the guard into its jail. Negative errno; *ret_what says what failed. */
int jail_enter(Jail *jail, const Options *options, const char **ret_what);

/* The rest of it, in the forked child, while it is still privileged. */
int jail_finish(const Jail *jail, const Options *options, const char **ret_what);
