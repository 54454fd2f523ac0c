/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* birth: how vmd-guard comes to be; libc only, shared by vmd-spawn and a user's vmd.
 *
 * The guard is made with CLONE_PARENT, so that it is a child of systemd from its first instruction: that it
 * ends is seen through its pidfd and through its status file, the same way before and after a restart of
 * vmd, and vm@.service can have it as its main process. With a cgroup it is born in there
 * (CLONE_INTO_CGROUP), so that all its memory is charged to the right place. */

#include <stddef.h>
#include <sys/types.h>

typedef struct BirthFd {
    int fd;
    int number; /* that it has in the child */
} BirthFd;

typedef struct Birth {
    char *const *argv; /* argv[0] is the program, by path */
    BirthFd *fds; /* the child writes into its copy */
    size_t n_fds;
    int output; /* stdout and stderr; stdin is /dev/null */
    int cgroup; /* an open cgroup2 folder, or -1 */
} Birth;

/* The caller owns the pidfd. Returns a negative errno; an exec that fails shows as exit status 127. */
int birth(const Birth *spec, pid_t *ret_pid, int *ret_pidfd);
