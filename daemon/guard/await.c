/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "await.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

uint64_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / 1000;
}

int signals_open(const int *wanted, size_t n)
{
    sigset_t set;

    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigemptyset(&set);
    for (size_t i = 0; i < n; i++)
        sigaddset(&set, wanted[i]);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool wait_go(int go, int other)
{
    struct pollfd fds[] = {
            {.fd = go, .events = POLLIN},
            {.fd = other, .events = POLLIN},
    };
    char c;

    if (go < 0)
        return true;
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return !fds[1].revents && read(go, &c, 1) == 1;
}
