/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qemu-child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "guard.h"

/* Ends the child that could not become QEMU. */
static _Noreturn void child_fail(int failed, int error, const char *what, const char *thing)
{
    dprintf(STDERR_FILENO, "%s%s%s: %s\n", what, thing ? " " : "", thing ? thing : "", strerror(error));
    (void) !write(failed, "", 1);
    _exit(GUARD_EXIT_EXEC);
}

static _Noreturn void child_run(const Options *options, const Jail *jail, int output, int failed)
{
    const char *what;
    sigset_t none;
    int r;

    if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        child_fail(failed, errno, "cannot redirect QEMU's output", NULL);
    for (int i = 1; i < NSIG; i++)
        signal(i, i == GUARD_SIGNAL_POWER ? SIG_IGN : SIG_DFL);
    r = jail_finish(jail, options, &what);
    if (r >= 0)
        r = confine_qemu(options, failed, &what);
    if (r < 0)
        child_fail(failed, -r, what, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(options->qemu[0], options->qemu);
    child_fail(failed, errno, "cannot execute", options->qemu[0]);
}

int qemu_child_start(const Options *options, const Jail *jail, QemuChild *ret)
{
    int output[2], failed[2], r;
    pid_t pid;

    if (pipe2(output, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(failed, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(failed[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        close(failed[0]); /* or the pipe would not tell the child that the guard is gone */
        child_run(options, jail, output[1], failed[1]);
    }
    r = -errno;
    close(output[1]);
    close(failed[1]);
    if (pid < 0)
        return r;
    *ret = (QemuChild){.pid = pid, .output = output[0], .failed = failed[0]};
    return 0;
}

void qemu_child_close_inherited(const int *own, unsigned n_own)
{
    for (unsigned fd = STDERR_FILENO + 1;;) {
        unsigned next = UINT_MAX;

        for (unsigned i = 0; i < n_own; i++) {
            if (own[i] >= 0 && (unsigned) own[i] >= fd && (unsigned) own[i] < next)
                next = (unsigned) own[i];
        }
        if (next > fd)
            syscall(SYS_close_range, fd, next == UINT_MAX ? UINT_MAX : next - 1, 0);
        if (next == UINT_MAX)
            break;
        fd = next + 1;
    }
}

bool qemu_child_ended(const QemuChild *child, int *ret_code, int *ret_signal)
{
    siginfo_t info = {0};

    if (waitid(P_PID, (id_t) child->pid, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return false;
    *ret_code = info.si_code == CLD_EXITED ? info.si_status : 0;
    *ret_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    return true;
}

bool qemu_child_executed(const QemuChild *child)
{
    char c;

    return read(child->failed, &c, 1) != 1;
}
