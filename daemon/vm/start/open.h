/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Opened: all that a start has open before any process is there, as descriptors that it then owns: what sources.c opened, and
 * the sockets and files of the run-time folder.
 *
 * From here on no path is looked up again. Nothing is left behind by a failure except in the run-time
 * folder, which goes with the instance. Called by start.c only. */

#include "instance.h"
#include "machine.h"

typedef struct Opened {
    MachineParts parts; /* what QEMU gets */
    int guard_console_fd, console_listen_fd, console_log_fd, status_fd, guard_qmp_fd; /* what the guard gets */
    int tls_fds[MACHINE_TLS_MAX]; /* in the order of machine_tls_names; -1: none */
    int journal_fd, cgroup_fd, go_read_fd; /* what its birth needs */
} Opened;

void opened_init(Opened *opened);
void opened_close(Opened *opened); /* may be called twice */

/* Claims the images of all disks for `vm`; one that another VM has open is refused with ERROR_IN_USE. */
bool claim_disks(const Opened *opened, VM *vm, Error **ret_error);

/* The sockets and files of the run-time folder `dir`. */
bool open_sockets(Opened *opened, const char *dir, bool console, Error **ret_error);
