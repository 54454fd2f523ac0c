/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "share-filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(comparison, value, yes, no) BPF_JUMP(BPF_JMP | (comparison) | BPF_K, value, yes, no)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE(error) RETURN(SECCOMP_RET_ERRNO | (error))
#define DENY(name) JUMP(BPF_JEQ, SYS_##name, 0, 1), REFUSE(EPERM)
#define PRETEND(name) JUMP(BPF_JEQ, SYS_##name, 0, 1), REFUSE(0)

#define NAMESPACES                                                                                                     \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* Other ABIs are refused by qemu-filter.c, which is there as well. */
static const struct sock_filter common[] = {
        LOAD(nr),
        /* Its flags are in memory; libc does without. */
        JUMP(BPF_JEQ, SYS_clone3, 0, 1),
        REFUSE(ENOSYS),
        JUMP(BPF_JEQ, SYS_clone, 1, 0),
        JUMP(BPF_JEQ, SYS_unshare, 0, 4),
        LOAD(args[0]),
        JUMP(BPF_JSET, NAMESPACES, 0, 1),
        REFUSE(EPERM),
        RETURN(SECCOMP_RET_ALLOW),

        DENY(setns),
        DENY(mount),
        DENY(umount2),
        DENY(pivot_root),
        DENY(open_tree),
        DENY(move_mount),
        DENY(fsopen),
        DENY(fspick),
        DENY(mount_setattr),
        DENY(open_by_handle_at),
        PRETEND(setgroups),
};

static const struct sock_filter squashing[] = {
        /* Nobody is there to give a file to. */
        JUMP(BPF_JEQ, SYS_fchownat, 0, 8),
        LOAD(args[2]),
        JUMP(BPF_JEQ, 0, 1, 0),
        JUMP(BPF_JEQ, UINT32_MAX, 0, 3),
        LOAD(args[3]),
        JUMP(BPF_JEQ, 0, 2, 0),
        JUMP(BPF_JEQ, UINT32_MAX, 1, 0),
        REFUSE(EPERM),
        RETURN(SECCOMP_RET_ALLOW),
        PRETEND(setresuid),
        PRETEND(setresgid),
        PRETEND(setreuid),
        PRETEND(setregid),
        PRETEND(setuid),
        PRETEND(setgid),
        PRETEND(setfsuid),
        PRETEND(setfsgid),
};

static const struct sock_filter end[] = {RETURN(SECCOMP_RET_ALLOW)};

#define LENGTH(array) (sizeof(array) / sizeof(array[0]))

static unsigned append(struct sock_filter *filter, unsigned n, const struct sock_filter *part, size_t length)
{
    for (size_t i = 0; i < length; i++)
        filter[n++] = part[i];
    return n;
}

int share_filter_install(bool squash)
{
    struct sock_filter filter[LENGTH(common) + LENGTH(squashing) + LENGTH(end)];
    unsigned n = append(filter, 0, common, LENGTH(common));
    struct sock_fprog program = {.filter = filter};

    if (squash)
        n = append(filter, n, squashing, LENGTH(squashing));
    program.len = (unsigned short) append(filter, n, end, LENGTH(end));
    return (int) syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program);
}
