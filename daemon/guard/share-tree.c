/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "share-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "id-map.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

/* What virtiofsd asks the kernel for before it does anything: how many files there may be. */
#define PROC_FILES "1048576\n"

#define BIT(capability) (UINT64_C(1) << (capability))

/* What a file server cannot do without, to give up some of it, and chroot() for the sandbox that it makes of its own. */
#define CAPABILITIES                                                                                                   \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |  \
            BIT(CAP_MKNOD) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_CHROOT))

static int fail(const char *what, const char **ret_what)
{
    *ret_what = what;
    return -errno;
}

uint64_t tree_capabilities(const Options *options)
{
    return options->tree ? CAPABILITIES : 0;
}

/* ---- the mount ---- */

static bool is_somebodys(const Options *options)
{
    return options->owner_uid != OPTIONS_NO_ID && options->owner_uid != 0;
}

/* As the owner, so that a path that has been changed meanwhile leads nowhere where he may not go. */
static int open_as_owner(const Options *options)
{
    int fd, error;

    if (!is_somebodys(options))
        return open(options->tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (setgroups(options->n_owner_groups, options->owner_groups) < 0)
        return -1;
    setfsgid(options->owner_gid);
    setfsuid(options->owner_uid); /* takes the capabilities over files away as long as it lasts */
    fd = open(options->tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
    error = errno;
    setfsuid(geteuid());
    setfsgid(getegid());
    if (setgroups(0, NULL) < 0)
        return -1;
    errno = error;
    return fd;
}

static bool is_same(int a, int b)
{
    struct stat one, other;

    if (fstat(a, &one) < 0 || fstat(b, &other) < 0)
        return false;
    errno = ESTALE;
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* A copy of the mount, which is nowhere yet. In a user namespace of its own a guard gets it with all that is mounted below it or not at
 * all; else that is left out, /proc and the like among it. */
static int copy_mount(int fd, bool recursive)
{
    unsigned flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;

    return (int) syscall(SYS_open_tree, fd, "", flags | (recursive ? AT_RECURSIVE : 0));
}

static int restrict_mount(int tree, bool recursive, bool read_only)
{
    struct mount_attr attr = {
            .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0),
    };
    struct mount_attr links = {.attr_set = MOUNT_ATTR_NOSYMFOLLOW};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);

    if (syscall(SYS_mount_setattr, tree, "", flags, &attr, sizeof(attr)) < 0)
        return -1;
    /* More than is needed, and kernels before 5.14 do not know it. */
    (void) syscall(SYS_mount_setattr, tree, "", flags, &links, sizeof(links));
    return 0;
}

int tree_show(const Options *options, const char *place)
{
    bool recursive = options->uid == OPTIONS_NO_ID;
    int fd = open_as_owner(options), tree = -1, error;

    if (fd >= 0 && is_same(fd, options->tree_fd))
        tree = copy_mount(fd, recursive);
    error = errno;
    if (fd >= 0)
        close(fd);
    if (tree < 0) {
        errno = error;
        return -1;
    }
    if (restrict_mount(tree, recursive, options->tree_read_only) < 0 || mkdir(place, 0755) < 0 ||
            syscall(SYS_move_mount, tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -1;
    close(tree);
    return 0;
}

/* ---- the user namespace ---- */

/* Root's is everybody, and else there is the owner alone. */
static int map_ids(const Options *options, int process)
{
    char uids[64] = "0 0 4294967295", gids[64] = "0 0 4294967295";

    if (is_somebodys(options)) {
        snprintf(uids, sizeof(uids), "0 %u 1", options->owner_uid);
        snprintf(gids, sizeof(gids), "0 %u 1", options->owner_gid);
    }
    return id_map_write(process, "uid_map", uids) < 0 || id_map_write(process, "gid_map", gids) < 0 ? -1 : 0;
}

/* The other process, which stays outside: only from there the ids can be mapped and the jail closed. Its exit status is an errno. */
static int outside(const Options *options, int process, int inside, int (*close_jail)(const char **ret_what))
{
    const char *what;
    char c;

    if (read(inside, &c, 1) != 1)
        return ECANCELED;
    if (map_ids(options, process) < 0)
        return errno;
    return -close_jail(&what);
}

/* Effective, after a change of the effective uid, what is still permitted. */
static int raise_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        data[i].effective = data[i].permitted;
    return (int) syscall(SYS_capset, &header, data);
}

/* The namespace is that of --uid=, see share-tree.h. */
static int enter_namespace(const Options *options)
{
    /* Inside there is no way to name groups of the owner's but the first. */
    if (setgroups(options->n_owner_groups, options->owner_groups) < 0 ||
            setresuid((uid_t) -1, options->uid, (uid_t) -1) < 0 || raise_capabilities() < 0)
        return -1;
    return unshare(CLONE_NEWUSER);
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECANCELED;
    return errno ? -1 : 0;
}

static int enter_with_other(const Options *options, int process, int (*close_jail)(const char **ret_what), const char **ret_what)
{
    int told[2], r;
    pid_t pid;

    if (pipe2(told, O_CLOEXEC) < 0)
        return fail("cannot make a pipe", ret_what);
    pid = fork();
    if (pid < 0)
        return fail("cannot fork", ret_what);
    if (pid == 0) {
        close(told[1]);
        _exit(outside(options, process, told[0], close_jail));
    }
    close(told[0]);
    r = enter_namespace(options) < 0 ? fail("cannot make a user namespace", ret_what) : 0;
    if (r == 0 && write(told[1], "i", 1) != 1)
        r = fail("cannot tell that it is in a user namespace", ret_what);
    close(told[1]);
    if (wait_for(pid) < 0 && r == 0)
        r = fail("cannot map the owner in a user namespace", ret_what);
    return r;
}

/* Of /proc the helper's own folder, and what it reads there of the host: no other process, and no setting of the kernel's. */
static int lay_out_proc(void)
{
    static const char *const folders[] = {"/proc/self", "/proc/sys", "/proc/sys/fs"}, *const files[] = {"file-max", "nr_open"};
    int dir, tree = (int) syscall(SYS_open_tree, AT_FDCWD, "/proc/self", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

    if (tree < 0 || syscall(SYS_mount, "tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=16k") < 0)
        return -1;
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
        if (mkdir(folders[i], 0555) < 0)
            return -1;
    dir = open("/proc/sys/fs", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; dir >= 0 && i < sizeof(files) / sizeof(*files); i++) {
        int fd = openat(dir, files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0444);

        if (fd < 0 || write(fd, PROC_FILES, strlen(PROC_FILES)) < 0)
            return -1;
        close(fd);
    }
    if (dir < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, "/proc/self", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return -1;
    close(dir);
    close(tree);
    return (int) syscall(SYS_mount_setattr, AT_FDCWD, "/proc", 0, &attr, sizeof(attr));
}

int tree_enter(const Options *options, int (*close_jail)(const char **ret_what), const char **ret_what)
{
    int process = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC), r;

    if (process < 0 || lay_out_proc() < 0)
        return fail("cannot cover the host's /proc", ret_what);
    r = options->uid == OPTIONS_NO_ID ? close_jail(ret_what) : enter_with_other(options, process, close_jail, ret_what);
    close(process);
    return r;
}

bool tree_squashes(const Options *options)
{
    return options->uid == OPTIONS_NO_ID || is_somebodys(options);
}

int tree_become_owner(const Options *options, const char **ret_what)
{
    if (options->uid == OPTIONS_NO_ID)
        return 0;
    if (setresgid(0, 0, 0) < 0)
        return fail("cannot take the owner's gid", ret_what);
    if (setresuid(0, 0, 0) < 0)
        return fail("cannot take the owner's uid", ret_what);
    return 0;
}
