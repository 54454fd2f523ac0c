/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Open: all that a start opens before any process is there, as descriptors that it then owns.
 *
 * From here on no path is looked up again. Nothing is left behind by a failure except in the run-time
 * folder, which goes with the instance. Called by start.c and preview.c only. */

#include "instance.h"
#include "machine.h"

typedef struct Opened {
    MachineParts parts; /* what QEMU gets */
    int guard_console_fd, console_listen_fd, console_log_fd, status_fd, guard_qmp_fd; /* what the guard gets */
} Opened;

void opened_init(Opened *opened);
void opened_close(Opened *opened); /* may be called twice */

/* [Boot]: Kernel= and Initrd=, as descriptors that `uid` (-1: this process's own) can open again. */
bool open_boot(Opened *opened, const Settings *settings, uid_t uid, Error **ret_error);

/* All [Disk]s. `images` NULL: only looked at; else each is claimed in it for `vm`, and one that another VM
 * has open is refused with ERROR_IN_USE. */
bool open_disks(Opened *opened, const Settings *settings, const VM *vm, GArray *images, Error **ret_error);

/* The sockets and files of the run-time folder `dir`. */
bool open_sockets(Opened *opened, const char *dir, bool console, Error **ret_error);
