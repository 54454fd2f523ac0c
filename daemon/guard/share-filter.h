/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A system call filter beside QEMU's (qemu-filter.h) for a program that serves a folder and has capabilities in a user namespace
 * for it: no new namespaces, no mounts, nothing of the kernel's that such capabilities open.
 *
 * As a file server it takes the ids of whoever asks, in a thread. With `squash` all such calls do nothing and say that they were done: the
 * file is then the owner's, whoever in the guest has made it. That it drops its groups is never done, since they are the owner's. */

#include <stdbool.h>

/* -1 and errno. */
int share_filter_install(bool squash);
