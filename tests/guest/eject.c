/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* eject [-t] DEVICE: opens a CD drive's tray, or closes it, in the tests' guest, whose busybox has no such applet. */

#include <fcntl.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv)
{
    int close_it = argc > 2 && strcmp(argv[1], "-t") == 0;
    int fd = argc > 1 ? open(argv[argc - 1], O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (fd >= 0 && ioctl(fd, close_it ? CDROMCLOSETRAY : CDROMEJECT, 0) >= 0)
        return 0;
    perror("eject");
    return 1;
}
