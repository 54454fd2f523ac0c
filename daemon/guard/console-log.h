/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ConsoleLog: the last bytes that a guest printed, in a file, at their offset since boot.
 *
 * The file is the only buffer that there is, for the log and for all watchers. It stays bounded since the
 * oldest bytes are punched out of it, whole blocks at a time; where the file system cannot punch holes it is
 * emptied instead. When the file system is full the oldest bytes go first; when not even that helps, new ones
 * are lost. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONSOLE_LOG_SIZE_MIN (64 * 1024)

typedef struct ConsoleLog {
    int fd;
    uint64_t size;  /* at most this many bytes are kept */
    uint64_t block; /* what holes are aligned to */
    uint64_t start; /* the oldest byte that is kept */
    uint64_t end;   /* the offset of the next byte */
} ConsoleLog;

void console_log_init(ConsoleLog *log, int fd, uint64_t size);

/* Appends `n` bytes and returns how many were stored. The rest is lost, and with it, so that no gap is ever
 * read, all that was before. */
size_t console_log_append(ConsoleLog *log, const char *text, size_t n);

/* Where a replay begins: the first line that is kept whole. */
uint64_t console_log_first(const ConsoleLog *log);

/* Reads what is at *offset, which first moves forward when the log does not reach back that far.
 * Returns the number of bytes, 0 at the end of the log, or a negative errno. */
ssize_t console_log_read(const ConsoleLog *log, uint64_t *offset, char *buffer, size_t size);

/* Gives everything back to the file system. */
void console_log_drop(ConsoleLog *log);
