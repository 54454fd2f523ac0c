/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

/* So much between two looks at `cancelled`. */
#define CHUNK (8 * 1024 * 1024)
/* So much of a stream at once, and what of it may be a hole. */
#define PIECE (1024 * 1024U)
#define HOLE 65536U

static int write_all(int fd, const uint8_t *data, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, data, n, at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -errno;
        data += w;
        at += w;
        n -= (size_t) w;
    }
    return 0;
}

/* Where the kernel cannot copy between these two files by itself. */
static int copy_by_hand(int from, int to, off_t at, size_t n)
{
    g_autofree uint8_t *buffer = g_malloc(1024 * 1024);
    while (n > 0) {
        ssize_t r = pread(from, buffer, MIN(n, 1024 * 1024U), at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : 0;
        int w = write_all(to, buffer, (size_t) r, at);
        if (w < 0)
            return w;
        at += r;
        n -= (size_t) r;
    }
    return 0;
}

static int copy_chunk(int from, int to, off_t at, size_t n)
{
    while (n > 0) {
        off_t in = at, out = at;
        ssize_t r = copy_file_range(from, &in, to, &out, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM))
            return copy_by_hand(from, to, at, n);
        if (r < 0)
            return -errno;
        if (r == 0)
            return 0; /* it has become shorter */
        at += r;
        n -= (size_t) r;
    }
    return 0;
}

static int copy_data(int from, int to, off_t at, off_t end, CopyState *state)
{
    while (at < end) {
        size_t n = (size_t) MIN(end - at, CHUNK);
        if (atomic_load(&state->cancelled))
            return -ECANCELED;
        int r = copy_chunk(from, to, at, n);
        if (r < 0)
            return r;
        at += (off_t) n;
        atomic_store(&state->done, (uint64_t) at);
    }
    return 0;
}

int copy_share(int from, int to)
{
    return ioctl(to, FICLONE, from) < 0 ? -errno : 0;
}

int copy_file(int from, int to, CopyState *state)
{
    struct stat st;
    if (fstat(from, &st) < 0)
        return -errno;
    atomic_store(&state->total, (uint64_t) st.st_size);
    off_t at = (off_t) atomic_load(&state->done);
    if (at == 0 && copy_share(from, to) == 0) {
        atomic_store(&state->done, (uint64_t) st.st_size);
        return 0;
    }
    if (ftruncate(to, st.st_size) < 0)
        return -errno;
    while (at < st.st_size) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        off_t hole = data < 0 ? st.st_size : lseek(from, data, SEEK_HOLE);
        int r = copy_data(from, to, data < 0 ? at : data, hole < 0 ? st.st_size : hole, state);
        if (r < 0)
            return r;
        at = hole < 0 ? st.st_size : hole;
    }
    atomic_store(&state->done, (uint64_t) st.st_size);
    return 0;
}

static int write_stream(int to, const uint8_t *data, size_t n, const CopyState *state)
{
    while (n > 0) {
        if (atomic_load(&state->cancelled))
            return -ECANCELED;
        ssize_t w = write(to, data, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return -errno;
        data += w;
        n -= (size_t) w;
    }
    return 0;
}

static bool is_zero(const uint8_t *data, size_t n)
{
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

/* Into a file in blocks, so that those of zeros need not be written. */
static int put(int to, bool file, const uint8_t *data, size_t n, off_t at, const CopyState *state)
{
    if (!file)
        return write_stream(to, data, n, state);
    for (size_t i = 0; i < n; i += HOLE) {
        size_t piece = MIN(n - i, HOLE);
        int r = is_zero(data + i, piece) ? 0 : write_all(to, data + i, piece, at + (off_t) i);
        if (r < 0)
            return r;
    }
    return 0;
}

/* As much as there is room for, unless that is all. */
static ssize_t read_piece(int from, uint8_t *buffer, size_t size, CopyState *state)
{
    size_t n = 0;
    while (n < size) {
        if (atomic_load(&state->cancelled))
            return -ECANCELED;
        ssize_t r = read(from, buffer + n, size - n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t) r;
    }
    return (ssize_t) n;
}

int copy_stream(int from, int to, CopyState *state)
{
    struct stat in, out;
    g_autofree uint8_t *buffer = g_malloc(PIECE);
    off_t at = 0;
    if (fstat(from, &in) < 0 || fstat(to, &out) < 0)
        return -errno;
    if (S_ISREG(in.st_mode))
        atomic_store(&state->total, (uint64_t) in.st_size);
    for (;;) {
        ssize_t n = read_piece(from, buffer, PIECE, state);
        int r = n > 0 ? put(to, S_ISREG(out.st_mode), buffer, (size_t) n, at, state) : (int) n;
        if (r < 0)
            return r;
        if (n == 0)
            break;
        at += n;
        atomic_store(&state->done, (uint64_t) at);
    }
    return S_ISREG(out.st_mode) && ftruncate(to, at) < 0 ? -errno : 0;
}

int copy_dig_holes(int fd, CopyState *state)
{
    g_autofree uint8_t *buffer = g_malloc(HOLE);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    for (off_t at = 0; at < st.st_size; at += HOLE) {
        if (atomic_load(&state->cancelled))
            return -ECANCELED;
        ssize_t n = pread(fd, buffer, HOLE, at);
        if (n < 0)
            return -errno;
        if (is_zero(buffer, (size_t) n) && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, HOLE) < 0)
            return errno == EOPNOTSUPP ? 0 : -errno;
    }
    return 0;
}

int copy_zeros(int fd, CopyState *state)
{
    struct stat st;
    g_autofree uint8_t *zeros = g_malloc0(1024 * 1024);
    if (fstat(fd, &st) < 0)
        return -errno;
    atomic_store(&state->total, (uint64_t) st.st_size);
    for (off_t at = 0; at < st.st_size;) {
        /* What is a hole has never been written. */
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break;
        at = data < 0 ? at : data;
        size_t n = (size_t) MIN(st.st_size - at, 1024 * 1024);
        if (atomic_load(&state->cancelled))
            return -ECANCELED;
        int r = write_all(fd, zeros, n, at);
        if (r < 0)
            return r;
        at += (off_t) n;
        atomic_store(&state->done, (uint64_t) at);
    }
    return fdatasync(fd) < 0 ? -errno : 0;
}
