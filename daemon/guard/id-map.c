/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "id-map.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int id_map_write(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    ssize_t n, length = (ssize_t) strlen(text);

    if (fd < 0)
        return -1;
    n = write(fd, text, (size_t) length);
    close(fd);
    return n == length ? 0 : -1;
}
