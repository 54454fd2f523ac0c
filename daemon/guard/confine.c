/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter.h"
#include "qemu-filter.h"
#include "share-filter.h"
#include "share-tree.h"

static int fail(const char *what, const char **ret_what)
{
    *ret_what = what;
    return -errno;
}

/* Without CAP_SETPCAP (a user's own guard) the bounding set stays; no_new_privs makes it meaningless. */
static int drop_bounding_set(uint64_t keep, const char **ret_what)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (keep >> capability & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EPERM)
            return fail("cannot drop the capability bounding set", ret_what);
    }
    return 0;
}

static int drop_capabilities(uint64_t keep, const char **ret_what)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct kept[_LINUX_CAPABILITY_U32S_3] = {{0}};

    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        kept[i].permitted = kept[i].effective = (uint32_t) (keep >> 32 * i);

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail("cannot clear the ambient capabilities", ret_what);
    if (syscall(SYS_capset, &header, kept) < 0)
        return fail("cannot drop capabilities", ret_what);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail("cannot set no_new_privs", ret_what);
    return 0;
}

static int become(const Options *options, const char **ret_what)
{
    if (options->tree)
        return tree_become_owner(options, ret_what);
    if (options->uid != OPTIONS_NO_ID) {
        if (setgroups(options->n_groups, options->groups) < 0)
            return fail("cannot set QEMU's supplementary groups", ret_what);
        if (setresgid(options->gid, options->gid, options->gid) < 0)
            return fail("cannot take QEMU's gid", ret_what);
        if (setresuid(options->uid, options->uid, options->uid) < 0)
            return fail("cannot take QEMU's uid", ret_what);
    }
    return 0;
}

int confine_qemu(const Options *options, int guard, const char **ret_what)
{
    uint64_t keep = tree_capabilities(options);
    struct pollfd alive = {.fd = guard};
    const struct rlimit locked = {options->locked_memory, options->locked_memory};
    int r;

    r = drop_bounding_set(keep, ret_what);
    if (r < 0)
        return r;
    if (options->locked_memory > 0 && setrlimit(RLIMIT_MEMLOCK, &locked) < 0)
        return fail("cannot set how much memory QEMU may lock", ret_what);
    r = become(options, ret_what);
    if (r < 0)
        return r;
    /* Not that of the service which started it, and other VMs. Containers may have no keys at all. */
    (void) syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    r = drop_capabilities(keep, ret_what);
    if (r < 0)
        return r;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return fail("cannot set the parent-death signal", ret_what);
    /* A parent that died before that sends nothing any more; getppid() says nothing across PID namespaces. */
    if (poll(&alive, 1, 0) != 0) {
        errno = ESRCH;
        return fail("vmd-guard is gone", ret_what);
    }
    if ((options->tree && share_filter_install(tree_squashes(options)) < 0) || qemu_filter_install(options->tls[0] >= 0) < 0)
        return fail("cannot install QEMU's system call filter", ret_what);
    return 0;
}

int confine_guard(const Options *options, const char **ret_what)
{
    int r;

    r = drop_bounding_set(0, ret_what);
    if (r < 0)
        return r;
    if (options->guard_uid != OPTIONS_NO_ID) {
        if (setgroups(0, NULL) < 0)
            return fail("cannot drop the guard's supplementary groups", ret_what);
        if (setresgid(options->guard_gid, options->guard_gid, options->guard_gid) < 0)
            return fail("cannot take the guard's gid", ret_what);
        /* The effective uid is QEMU's for the parent-death signal, see guard.h. */
        if (setresuid(options->guard_uid, options->uid, options->guard_uid) < 0)
            return fail("cannot take the guard's uid", ret_what);
    }
    r = drop_capabilities(0, ret_what);
    if (r < 0)
        return r;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fail("cannot make the guard untraceable", ret_what);
    if (options->filter && filter_install() < 0)
        return fail("cannot install the guard's system call filter", ret_what);
    return 0;
}
