/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>

/* A byte for each permission: in the first row of those who have it, in the second of those who do not want others to have it. */
#define HAVE 100
#define DENY 200

enum { CONSISTENT_READ = 0, WRITE = 1, RESIZE = 3 };

static int set_lock(int fd, short type, off_t at, off_t length)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = length};
    if (fcntl(fd, F_OFD_SETLK, &lock) >= 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : 0;
}

static bool is_locked(int fd, off_t at)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
    return fcntl(fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
}

int lock_for_reading(int fd)
{
    static const off_t ours[] = {HAVE + CONSISTENT_READ, DENY + WRITE, DENY + RESIZE}, theirs[] = {HAVE + WRITE, HAVE + RESIZE};
    int r = 0;
    /* First said, then looked, as QEMU does: of two at the same time one at least sees the other. */
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(ours); i++)
        r = set_lock(fd, F_RDLCK, ours[i], 1);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(theirs); i++)
        r = is_locked(fd, theirs[i]) ? -EBUSY : 0;
    return r;
}

int lock_check_writing(int fd)
{
    return is_locked(fd, DENY + WRITE) || is_locked(fd, DENY + RESIZE) ? -EBUSY : 0;
}

int lock_alone(int fd)
{
    return set_lock(fd, F_WRLCK, 0, 0);
}
