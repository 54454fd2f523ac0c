/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "guard.h"
#include "id-map.h"
#include "journal.h"
#include "share-tree.h"

/* <sys/mount.h> and <linux/mount.h> do not go together in every libc. */
#define MNT_DETACH 2

/* There on every host, and nothing that QEMU needs is below it. */
#define BUILD_PLACE "/sys"

static int fail(const char *what, const char **ret_what)
{
    *ret_what = what;
    return -errno;
}

static int do_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
    return (int) syscall(SYS_mount, source, target, type, flags, data);
}

/* Flags are only added: in a user namespace those that a mount has already are locked. */
static int add_flags(const char *path, unsigned long long flags, bool recursive)
{
    struct mount_attr attr = {.attr_set = flags};

    return (int) syscall(SYS_mount_setattr, AT_FDCWD, path, recursive ? AT_RECURSIVE : 0, &attr, sizeof(attr));
}

/* The folders of a path below the place where the root is built. */
static int make_folders(char *path)
{
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            return -1;
        *p = '/';
    }
    return 0;
}

/* The host's /sys, which is not to be seen any more while the root is built over it. */
static int host_sys = -1;

/* How the host's `path` is reached meanwhile. */
static const char *find_source(const char *path, char *buffer, size_t size)
{
    if (strncmp(path, BUILD_PLACE "/", sizeof(BUILD_PLACE)) != 0)
        return path;
    snprintf(buffer, size, "/proc/self/fd/%d%s", host_sys, path + strlen(BUILD_PLACE));
    return buffer;
}

/* Shows what is found at `source` under the name `path`; not an error where there is nothing. */
static int show_as(const char *source, const char *path, unsigned long long flags)
{
    char target[PATH_MAX];
    struct stat st;

    if (stat(source, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    if (snprintf(target, sizeof(target), ".%s", path) >= (int) sizeof(target)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (make_folders(target) < 0)
        return -1;
    if (S_ISDIR(st.st_mode)) {
        if (mkdir(target, 0755) < 0 && errno != EEXIST)
            return -1;
    } else {
        int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
            return -1;
        close(fd);
    }
    if (do_mount(source, target, "none", MS_BIND | MS_REC, NULL) < 0)
        return -1;
    return flags ? add_flags(target, flags, true) : 0;
}

static int show(const char *path, unsigned long long flags)
{
    char buffer[PATH_MAX + 32];

    return show_as(find_source(path, buffer, sizeof(buffer)), path, flags);
}

/* The tree that the programs are from; -1: they are the host's. */
static int programs_root = -1;

/* The same of programs and what they need. A tree may be anybody's: no link in it leads out of it. */
static int show_of_programs(const char *path, unsigned long long flags)
{
    const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    char source[32];
    int fd, r;

    if (programs_root < 0)
        return show(path, flags);
    fd = (int) syscall(SYS_openat2, programs_root, path, &how, sizeof(how));
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    r = show_as(source, path, flags);
    close(fd);
    return r;
}

#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* /lib and the like: a link into /usr where the distribution has merged them, else a folder. */
static int show_or_link(const char *path)
{
    char target[PATH_MAX];
    ssize_t n = programs_root < 0 ? readlink(path, target, sizeof(target) - 1) : readlinkat(programs_root, path + 1, target, sizeof(target) - 1);

    if (n < 0)
        return show_of_programs(path, READ_ONLY);
    target[n] = 0;
    return symlink(target, path + 1);
}

/* The folder that a program outside of /usr comes from: the one that it is in, or the one above its bin/. */
static int show_folder_of(const char *program)
{
    static const char *const programs[] = {"/bin", "/sbin", "/libexec"};
    char path[PATH_MAX], *slash;

    if (strncmp(program, "/usr/", 5) == 0 || strlen(program) >= sizeof(path))
        return 0;
    strcpy(path, program);
    slash = strrchr(path, '/');
    if (!slash || slash == path)
        return show_of_programs(program, READ_ONLY);
    *slash = 0;
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++) {
        size_t length = strlen(path), n = strlen(programs[i]);

        if (length > n && strcmp(path + length - n, programs[i]) == 0) {
            path[length - n] = 0;
            break;
        }
    }
    return show_of_programs(path, READ_ONLY);
}

/* The program by the name that it is executed by, and what that may be a link to. */
static int show_program(const char *program)
{
    char real[PATH_MAX];

    if (show_folder_of(program) < 0)
        return -1;
    if (programs_root >= 0)
        return 0;
    return realpath(program, real) ? show_folder_of(real) : 0; /* what is not there the exec will tell */
}

/* Drivers of graphics processors look there what theirs is: the link by the node's number, and the device that it leads to. */
static int show_in_sysfs(dev_t node)
{
    char path[64], target[PATH_MAX - 32], device[PATH_MAX], buffer[PATH_MAX + 32], *end;
    ssize_t n;

    snprintf(path, sizeof(path), "/sys/dev/char/%u:%u", major(node), minor(node));
    n = readlink(find_source(path, buffer, sizeof(buffer)), target, sizeof(target) - 1);
    if (n < 0)
        return -1;
    target[n] = 0;
    end = strstr(target, "/drm/");
    if (strncmp(target, "../../devices/", 14) != 0 || !end) {
        errno = ENODEV;
        return -1;
    }
    snprintf(device, sizeof(device), "/sys/%.*s", (int) (end - target - 6), target + 6);
    if (show(device, READ_ONLY) < 0)
        return -1;
    snprintf(device, sizeof(device), ".%s", path);
    return make_folders(device) < 0 ? -1 : symlink(target, device);
}

/* A node of its own, since on the host it is root's or a group's, and nobody else there is to get it. A user's guard can make none, and
 * needs none: what the user may open, QEMU may. */
static int make_device(const Options *options, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -1;
    if (!S_ISCHR(st.st_mode)) {
        errno = ENODEV;
        return -1;
    }
    if (strncmp(path, "/dev/dri/", 9) == 0 && show_in_sysfs(st.st_rdev) < 0)
        return -1;
    if (options->uid == OPTIONS_NO_ID)
        return show(path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return mknod(path + 1, S_IFCHR | 0600, st.st_rdev) < 0 ? -1 : chown(path + 1, options->uid, options->gid);
}

/* Those that are in `place`, which all that is made there goes with. */
static int make_devices(const Options *options, const char *place, unsigned *made)
{
    size_t length = strlen(place);
    unsigned n = 0;

    for (unsigned i = 0; i < options->n_devices; i++) {
        const char *path = options->devices[i];

        if (strncmp(path + 1, place, length) != 0 || path[1 + length] != '/')
            continue;
        if (n++ == 0 && (mkdir(place, 0755) < 0 ||
                                do_mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=16k,nr_inodes=64") < 0))
            return -1;
        if (make_device(options, path) < 0)
            return -1;
    }
    *made += n;
    return n > 0 ? add_flags(place, MOUNT_ATTR_RDONLY, false) : 0;
}

/* Of its own, for QEMU's uid alone: what it is copied from is root's, or the user's. */
static int copy_tls(const Options *options, unsigned i)
{
    char buffer[4096];
    int fd = open(options_tls_names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
    off_t at = 0;
    ssize_t n = -1;

    if (fd < 0)
        return -1;
    while ((n = pread(options->tls[i], buffer, sizeof(buffer), at)) > 0) {
        if (write(fd, buffer, (size_t) n) != n)
            break;
        at += n;
    }
    explicit_bzero(buffer, sizeof(buffer));
    if (n == 0 && options->uid != OPTIONS_NO_ID)
        n = fchown(fd, options->uid, options->gid);
    close(fd);
    return n == 0 ? 0 : -1;
}

static int make_tls(const Options *options)
{
    if (mkdir(GUARD_TLS + 1, 0755) < 0 ||
            do_mount("tmpfs", GUARD_TLS + 1, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=256k,nr_inodes=8") < 0 || chdir(GUARD_TLS + 1) < 0)
        return -1;
    for (unsigned i = 0; i < OPTIONS_TLS_MAX; i++) {
        if (copy_tls(options, i) < 0)
            return -1;
        close(options->tls[i]);
    }
    return chdir("..") < 0 ? -1 : add_flags("." GUARD_TLS, MOUNT_ATTR_RDONLY, false);
}

static int show_all(const Options *options)
{
    static const char *const links[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    static const char *const places[] = {"dev/vfio", "dev/dri"}; /* of --device= */
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/kvm"};
    unsigned n_made = 0;

    if (show_of_programs("/usr", READ_ONLY) < 0 || show_of_programs("/etc/ld.so.cache", READ_ONLY) < 0)
        return -1;
    for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
        if (show_or_link(links[i]) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
        if (options->helper && strcmp(devices[i], "/dev/kvm") == 0)
            continue;
        if (show(devices[i], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0)
            return -1;
    }
    if (show_program(options->qemu[0]) < 0)
        return -1;
    for (unsigned i = 0; i < options->n_binds; i++) {
        if (show(options->binds[i].path, options->binds[i].writable ? MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV : READ_ONLY) < 0)
            return -1;
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        if (make_devices(options, places[i], &n_made) < 0)
            return -1;
    }
    if (n_made != options->n_devices) {
        errno = ENODEV;
        return -1;
    }
    if (options->tls[0] >= 0 && make_tls(options) < 0)
        return -1;
    return options->own ? show(options->own, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) : 0;
}

/* The user is in the namespace who he is outside, or its root, and nobody else is there. */
static int map_ids(uid_t uid, gid_t gid, bool as_root)
{
    char map[64];

    if (id_map_write(AT_FDCWD, "/proc/self/setgroups", "deny") < 0)
        return -1;
    snprintf(map, sizeof(map), "%u %u 1", as_root ? 0 : (unsigned) uid, (unsigned) uid);
    if (id_map_write(AT_FDCWD, "/proc/self/uid_map", map) < 0)
        return -1;
    snprintf(map, sizeof(map), "%u %u 1", as_root ? 0 : (unsigned) gid, (unsigned) gid);
    return id_map_write(AT_FDCWD, "/proc/self/gid_map", map);
}

static int unshare_all(Jail *jail, const Options *options, const char **ret_what)
{
    int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (uid == 0) {
        jail->own_pids = options->helper;
        return unshare(flags | (options->helper ? CLONE_NEWPID : 0)) < 0 ? fail("cannot make namespaces", ret_what) : 0;
    }
    if (unshare(flags | CLONE_NEWUSER | CLONE_NEWPID) < 0) {
        if (options->tree)
            return fail("a user's folders are shared only where the host allows user namespaces", ret_what);
        if (options->root)
            return fail("a user's QEMU is from another tree only where the host allows user namespaces", ret_what);
        if (options->tls[0] >= 0)
            return fail("a user's displays are offered on networks only where the host allows user namespaces", ret_what);
        journal_say(JOURNAL_WARNING, "QEMU runs with all that its user may do: this host allows no user namespaces (%s)",
                strerror(errno));
        return 1;
    }
    if (map_ids(uid, gid, options->tree) < 0)
        return fail("cannot map the user in a user namespace", ret_what);
    jail->own_pids = true;
    return 0;
}

/* Nothing of the jail's mounts changes after it. The kernel makes no user namespace for a process whose root is not the top of its
 * mount namespace (it takes that for a chroot), so something is put on top of the root: /tmp, which is all that "/.." now
 * leads to. No filter of system calls could do it, since clone3()'s flags are in memory. */
static int close_jail(const char **ret_what)
{
    if (add_flags("/", MOUNT_ATTR_RDONLY, false) < 0)
        return fail("cannot make the jail's root read-only", ret_what);
    if (do_mount("/tmp", "/", "none", MS_BIND, NULL) < 0)
        return fail("cannot cover the jail's root", ret_what);
    return 0;
}

int jail_enter(Jail *jail, const Options *options, const char **ret_what)
{
    int r = unshare_all(jail, options, ret_what);

    if (r != 0)
        return r < 0 ? r : 0;
    if (do_mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
        return fail("cannot make mounts private", ret_what);
    host_sys = open(BUILD_PLACE, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (options->root && (programs_root = open(options->root, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return fail("cannot open the tree that the programs are from", ret_what);
    if (do_mount("tmpfs", BUILD_PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=256k,nr_inodes=256") < 0)
        return fail("cannot mount the jail's root", ret_what);
    if (chdir(BUILD_PLACE) < 0 || mkdir("proc", 0755) < 0 || mkdir("dev", 0755) < 0 || mkdir("tmp", 0755) < 0)
        return fail("cannot lay out the jail's root", ret_what);
    if (do_mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m,nr_inodes=1k") < 0)
        return fail("cannot mount the jail's /tmp", ret_what);
    if (show_all(options) < 0)
        return fail("cannot show the programs in the jail", ret_what);
    if (options->tree && tree_show(options, "." GUARD_TREE) < 0)
        return fail("cannot show the shared folder in the jail", ret_what);
    /* After all that could be shown below it, or that would follow the link out of the jail that is being built. */
    if ((mkdir("var", 0755) < 0 || symlink("/tmp", "var/tmp") < 0) && errno != EEXIST)
        return fail("cannot lay out the jail's root", ret_what);
    /* A PID namespace's own /proc can only be mounted from inside of it: jail_finish() puts it over this one. */
    if ((jail->own_pids ? do_mount("/proc", "proc", "none", MS_BIND | MS_REC, NULL)
                        : do_mount("proc", "proc", "proc", PROC_FLAGS, "hidepid=2,subset=pid")) < 0)
        return fail("cannot mount the jail's /proc", ret_what);
    if (host_sys >= 0)
        close(host_sys);
    if (programs_root >= 0)
        close(programs_root);
    if (syscall(SYS_pivot_root, ".", ".") < 0 || syscall(SYS_umount2, ".", MNT_DETACH) < 0 || chdir("/") < 0)
        return fail("cannot enter the jail", ret_what);
    jail->entered = true;
    return jail->own_pids ? 0 : close_jail(ret_what);
}

/* A /proc with nothing in it but the caller's own folder, where it has the name "self": others of the same user are not to be seen,
 * since through their folders' "root" the way leads out of the jail. */
static int show_proc_self(const char **ret_what)
{
    int tree = (int) syscall(SYS_open_tree, AT_FDCWD, "/proc/self", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (tree < 0)
        return fail("cannot take a process's part of /proc", ret_what);
    if (do_mount("tmpfs", "/proc", "tmpfs", PROC_FLAGS, "mode=0755,size=4k") < 0 || mkdir("/proc/self", 0555) < 0 ||
            syscall(SYS_move_mount, tree, "", AT_FDCWD, "/proc/self", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
            add_flags("/proc", MOUNT_ATTR_RDONLY, false) < 0)
        return fail("cannot cover the host's /proc", ret_what);
    close(tree);
    return 0;
}

int jail_finish(const Jail *jail, const Options *options, const char **ret_what)
{
    int r = 0;

    if (!jail->own_pids)
        return 0;
    if (options->tree)
        return tree_enter(options, close_jail, ret_what);
    /* The kernel refuses it where something is mounted over parts of the host's /proc, as containers do. */
    if (do_mount("proc", "/proc", "proc", PROC_FLAGS, "subset=pid") < 0)
        r = show_proc_self(ret_what);
    return r < 0 ? r : close_jail(ret_what);
}
