/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* load: loads the modules that /lib/modules/order names, in that order, in the tests' guests. A process for each would take longer than what
 * most of them do, where the processor is emulated. What cannot be loaded is told, and the rest is loaded all the same. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    char name[256], path[512];
    FILE *order = fopen("/lib/modules/order", "re");
    while (order && fscanf(order, "%255s", name) == 1) {
        snprintf(path, sizeof path, "/lib/modules/%s", name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            fprintf(stderr, "load: %s: %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return 0;
}
