/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All that there is to read or to write, however little of it the kernel does at once. For what may block: files, not the loop's sockets. */

#include <stddef.h>
#include <sys/types.h>

/* Reads until the end of the file, but at most `max` bytes. Returns how many, or a negative errno. */
ssize_t io_read_all(int fd, void *buffer, size_t max);

/* Returns a negative errno; what was written by then is. */
int io_write_all(int fd, const void *data, size_t n);
