/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io.h"

#include <errno.h>
#include <unistd.h>

ssize_t io_read_all(int fd, void *buffer, size_t max)
{
    size_t done = 0;
    while (done < max) {
        ssize_t n = read(fd, (char *) buffer + done, max - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t) n;
    }
    return (ssize_t) done;
}

int io_write_all(int fd, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t written = write(fd, (const char *) data + done, n - done);
        if (written < 0 && errno != EINTR)
            return -errno;
        done += written > 0 ? (size_t) written : 0;
    }
    return 0;
}
