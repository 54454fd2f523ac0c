/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qemu-filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(comparison, value, yes, no) BPF_JUMP(BPF_JMP | (comparison) | BPF_K, value, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define DENY(name) JUMP(BPF_JEQ, SYS_##name, 0, 1), REFUSE(EPERM)

#ifdef FILTER_ARCH
static const struct sock_filter instructions[] = {
        /* Other ABIs of the same processor, i386 and x32, have numbers of their own for all that stands below. */
        LOAD(arch),
        JUMP(BPF_JEQ, FILTER_ARCH, 1, 0),
        REFUSE(ENOSYS),
        LOAD(nr),
        JUMP(BPF_JGE, 0x40000000U, 0, 1),
        REFUSE(ENOSYS),

        JUMP(BPF_JEQ, SYS_socket, 1, 0),
        JUMP(BPF_JEQ, SYS_socketpair, 0, 9),
        LOAD(args[0]), /* the lower half: the kernel looks at no more, and both processors are little-endian */
        JUMP(BPF_JEQ, AF_UNIX, 5, 0),
        JUMP(BPF_JEQ, AF_INET, 4, 0),
        JUMP(BPF_JEQ, AF_INET6, 3, 0),
        /* libusb does not start without one of these, which only say what devices come and go. */
        JUMP(BPF_JEQ, AF_NETLINK, 0, 3),
        LOAD(args[2]),
        JUMP(BPF_JEQ, NETLINK_KOBJECT_UEVENT, 0, 1),
        RETURN(SECCOMP_RET_ALLOW),
        REFUSE(EAFNOSUPPORT),

        DENY(ptrace),
        DENY(process_vm_readv),
        DENY(process_vm_writev),
        DENY(pidfd_getfd),
        DENY(kcmp),
        DENY(add_key),
        DENY(request_key),
        DENY(keyctl),
        DENY(bpf),
        DENY(perf_event_open),
        DENY(userfaultfd),
        RETURN(SECCOMP_RET_ALLOW),
};

/* Lies over the other one, which lets no other ABI through. */
static const struct sock_filter remote_instructions[] = {
        LOAD(nr),
        DENY(connect),
        DENY(io_uring_setup),
        RETURN(SECCOMP_RET_ALLOW),
};
#endif

int qemu_filter_install(bool remote)
{
#ifdef FILTER_ARCH
    struct sock_fprog remote_program = {
            .len = sizeof(remote_instructions) / sizeof(remote_instructions[0]),
            .filter = (struct sock_filter *) remote_instructions,
    };
    struct sock_fprog program = {
            .len = sizeof(instructions) / sizeof(instructions[0]),
            .filter = (struct sock_filter *) instructions,
    };

    if (remote && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &remote_program) < 0)
        return -1;
    /* Without the flag kernels before 5.16 slow the process down, for a hardening that is not what this is about. */
    return (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
#else
    return 0;
#endif
}
