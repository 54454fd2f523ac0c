/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Status: the file from which vmd, now or after a restart, learns how QEMU fares and how it ended. Its form
 * stands in guard.h. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "guard.h"

typedef struct Status {
    pid_t pid; /* 0: QEMU was not even forked */
    bool ended;
    bool executed;
    bool panicked;
    int code;           /* or */
    int signal;         /* 0: it exited */
    const char *reason; /* "" when there is none */
} Status;

/* Writes the file in one go. `output`, at most GUARD_OUTPUT_MAX bytes, is what QEMU said last, used once the
 * status has ended. Returns a negative errno; -ENOSPC may leave a file whose end is missing. */
int status_write(const Status *status, int fd, const char *output, size_t n_output);

/* The same, with the later half of `output`, or of that, for as long as there is no room; it begins with a character. */
int status_write_fitting(const Status *status, int fd, const char *output, size_t n_output);

/* The guard's own exit status after this end. */
int status_exit_code(const Status *status, bool terminated);
