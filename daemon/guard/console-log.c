/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console-log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t align_down(uint64_t offset, uint64_t block)
{
    return offset - offset % block;
}

static uint64_t align_up(uint64_t offset, uint64_t block)
{
    return align_down(offset + block - 1, block);
}

void console_log_init(ConsoleLog *log, int fd, uint64_t size)
{
    struct stat st;

    *log = (ConsoleLog){
            .fd = fd, .size = size > CONSOLE_LOG_SIZE_MIN ? size : CONSOLE_LOG_SIZE_MIN, .block = 4096};
    if (fstat(fd, &st) >= 0 && st.st_blksize > 0)
        log->block = (uint64_t) st.st_blksize;
    if (log->block > log->size / 4)
        log->block = 4096;
}

/* Forgets what is before `start`. */
static void console_log_cut(ConsoleLog *log, uint64_t start)
{
    uint64_t from = align_down(log->start, log->block), to;

    if (start >= log->end) {
        start = log->end;
        to = align_up(start, log->block);
    } else {
        to = align_down(start, log->block);
    }
    log->start = start;
    if (to <= from)
        return;
    if (fallocate(log->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) from, (off_t) (to - from)) >=
            0)
        return;
    log->start = log->end;
    (void) !ftruncate(log->fd, 0);
}

void console_log_drop(ConsoleLog *log)
{
    console_log_cut(log, log->end);
}

size_t console_log_append(ConsoleLog *log, const char *text, size_t n)
{
    size_t stored = 0;

    /* A sixteenth more than needed, so that a flood does not punch at every write. */
    if (log->end + n - align_down(log->start, log->block) > log->size)
        console_log_cut(log, align_up(log->end + n - log->size + log->size / 16, log->block));
    while (stored < n) {
        ssize_t written = pwrite(log->fd, text + stored, n - stored, (off_t) log->end);

        if (written > 0) {
            stored += (size_t) written;
            log->end += (uint64_t) written;
            continue;
        }
        if (written < 0 && errno == EINTR)
            continue;
        if (log->start < log->end) {
            console_log_cut(log, align_up(log->start + (log->end - log->start) / 2 + 1, log->block));
            continue;
        }
        log->end += n - stored;
        log->start = log->end;
        break;
    }
    return stored;
}

uint64_t console_log_first(const ConsoleLog *log)
{
    char text[512], *newline;
    uint64_t start = log->start;
    ssize_t n;

    if (start == 0)
        return 0;
    n = console_log_read(log, &start, text, sizeof(text));
    newline = n > 0 ? memchr(text, '\n', (size_t) n) : NULL;
    return newline ? start + (uint64_t) (newline - text) + 1 : start;
}

ssize_t console_log_read(const ConsoleLog *log, uint64_t *offset, char *buffer, size_t size)
{
    ssize_t n;

    if (*offset < log->start)
        *offset = log->start;
    if (size > log->end - *offset)
        size = (size_t) (log->end - *offset);
    if (size == 0)
        return 0;
    n = pread(log->fd, buffer, size, (off_t) *offset);
    return n < 0 ? -errno : n;
}
