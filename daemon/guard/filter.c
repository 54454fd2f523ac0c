/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_ADDRESS__)
#elif defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

#define ALLOW(name)                                                                                          \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

#ifdef FILTER_ARCH
static const struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(ppoll),
        ALLOW(read),
        ALLOW(recvfrom),
        ALLOW(sendto),
        ALLOW(write),
        ALLOW(pread64),
        ALLOW(pwrite64),
        ALLOW(pwritev),
        ALLOW(accept4),
        ALLOW(close),
        ALLOW(fallocate),
        ALLOW(ftruncate),
        ALLOW(waitid),
        ALLOW(clock_gettime),
        ALLOW(restart_syscall),
        ALLOW(exit_group),
#ifdef SYS_poll
        ALLOW(poll),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};
#endif

int filter_install(void)
{
#ifdef FILTER_ARCH
    struct sock_fprog program = {
            .len = sizeof(instructions) / sizeof(instructions[0]),
            .filter = (struct sock_filter *) instructions,
    };

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#else
    return 0;
#endif
}
