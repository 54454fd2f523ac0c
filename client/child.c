/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

void child_reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    (void) signal(SIGPIPE, SIG_DFL);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

int child_run(const char *const *argv)
{
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, saved_int, saved_quit;
    pid_t pid;
    int status;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGQUIT);
    (void) fflush(stdout);
    int r = posix_spawnattr_init(&attributes);
    if (r != 0)
        return -r;
    (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void) posix_spawnattr_setsigmask(&attributes, &none);
    (void) posix_spawnattr_setsigdefault(&attributes, &defaults);

    (void) sigaction(SIGINT, &ignore, &saved_int);
    (void) sigaction(SIGQUIT, &ignore, &saved_quit);
    r = posix_spawnp(&pid, argv[0], NULL, &attributes, (char *const *) argv, environ);
    (void) posix_spawnattr_destroy(&attributes);
    while (r == 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            r = errno;
    (void) sigaction(SIGINT, &saved_int, NULL);
    (void) sigaction(SIGQUIT, &saved_quit, NULL);
    if (r != 0)
        return -r;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
