/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "birth.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* First all out of the way, then each to its place: one's number may be where another one is. */
static int place_fds(const Birth *spec)
{
    int base = STDERR_FILENO + 1;
    for (size_t i = 0; i < spec->n_fds; i++)
        if (spec->fds[i].number >= base)
            base = spec->fds[i].number + 1;

    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int output = fcntl(spec->output, F_DUPFD_CLOEXEC, base);
    if (null < 0 || output < 0)
        return -1;
    for (size_t i = 0; i < spec->n_fds; i++) {
        spec->fds[i].fd = fcntl(spec->fds[i].fd, F_DUPFD_CLOEXEC, base);
        if (spec->fds[i].fd < 0)
            return -1;
    }
    if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        return -1;
    for (size_t i = 0; i < spec->n_fds; i++)
        if (dup2(spec->fds[i].fd, spec->fds[i].number) < 0)
            return -1;
    return 0;
}

/* Only async-signal-safe calls: libc does not know that this process was forked. */
static void child(const Birth *spec) __attribute__((noreturn));
static void child(const Birth *spec)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < _NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            (void) signal(sig, SIG_DFL);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    (void) setsid();
    if (place_fds(spec) < 0)
        _exit(127);

    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
    static char lang[] = "LANG=C.UTF-8";
    char *environment[] = {path, lang, NULL};
    (void) execve(spec->argv[0], spec->argv, environment);
    _exit(127);
}

int birth(const Birth *spec, pid_t *ret_pid, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_PARENT | (spec->cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uintptr_t) &pidfd,
        .cgroup = spec->cgroup >= 0 ? (uint64_t) spec->cgroup : 0,
    };

    pid_t pid = (pid_t) syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return -errno;
    if (pid == 0)
        child(spec);

    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
