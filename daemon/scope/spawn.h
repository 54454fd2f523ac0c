/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* spawn: starts vmd-guard, which outlives vmd.
 *
 * The guard is made with CLONE_PARENT, so that it is a child of systemd from its first instruction: that it
 * ends is seen through its pidfd and through its status file, the same way before and after a restart of
 * vmd, and vm@.service can have it as its main process. With a cgroup it is born in there
 * (CLONE_INTO_CGROUP), so that all its memory is charged to the right place. */

#include <sys/types.h>

typedef struct SpawnSpec {
    const char *path;
    char *const *argv;
    const int *fds; /* stay open in the child under the same numbers */
    size_t n_fds;
    int output;     /* stdout and stderr; stdin is /dev/null */
    int cgroup;     /* an open cgroup2 folder, or -1 */
} SpawnSpec;

/* The caller owns the pidfd. Returns a negative errno; an exec that fails shows as exit status 127. */
int spawn(const SpawnSpec *spec, pid_t *ret_pid, int *ret_pidfd);
