/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Only async-signal-safe calls: libc does not know that this process was forked. */
static void child(const SpawnSpec *spec) __attribute__((noreturn));
static void child(const SpawnSpec *spec)
{
    sigset_t none;
    sigemptyset(&none);
    for (int sig = 1; sig < _NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            (void) signal(sig, SIG_DFL);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    (void) setsid();

    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(spec->output, STDOUT_FILENO) < 0 ||
        dup2(spec->output, STDERR_FILENO) < 0)
        _exit(127);
    for (size_t i = 0; i < spec->n_fds; i++)
        if (fcntl(spec->fds[i], F_SETFD, 0) < 0)
            _exit(127);

    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
    static char lang[] = "LANG=C.UTF-8";
    char *environment[] = {path, lang, NULL};
    (void) execve(spec->path, spec->argv, environment);
    _exit(127);
}

int spawn(const SpawnSpec *spec, pid_t *ret_pid, int *ret_pidfd)
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
