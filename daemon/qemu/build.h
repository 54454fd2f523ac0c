/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuBuild: what one QEMU binary can do, asked of the binary itself.
 *
 * A build is known by its identity (path, device, inode, mtime, size; of one in an image that of the image), not by its version: any number of
 * builds live side by side, of the host's and of other trees (tree.h), and one that is replaced is asked again. Asking is one child process, QEMU
 * without a machine on a QMP socketpair, under an unprivileged uid, with limits on time, memory and output;
 * the answer is kept in memory and in CACHE_DIR/qemu/ as JSON, so a start does not wait for it twice.
 *
 * A QemuBuild is reference-counted, immutable once delivered. Knows nothing of VMs or D-Bus. */

#include <systemd/sd-event.h>

#include "error.h"
#include "spawn.h"
#include "tree.h"

typedef struct QemuBuild QemuBuild;

QemuBuild *qemu_build_ref(QemuBuild *build);
void qemu_build_unref(QemuBuild *build);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuBuild, qemu_build_unref)

const char *qemu_build_root(const QemuBuild *build); /* of its tree; NULL: the host */
const char *qemu_build_path(const QemuBuild *build); /* in it */
const char *qemu_build_version(const QemuBuild *build); /* "7.2.17" */
const char *qemu_build_target(const QemuBuild *build);  /* "x86_64" */
bool qemu_build_has_kvm(const QemuBuild *build);        /* compiled in; says nothing of the host */
bool qemu_build_has_device(const QemuBuild *build, const char *type);     /* "virtio-blk-pci" */
bool qemu_build_has_object(const QemuBuild *build, const char *type);     /* "memory-backend-memfd" */
bool qemu_build_has_chardev(const QemuBuild *build, const char *type);    /* "chardev-dbus" */
bool qemu_build_has_machine(const QemuBuild *build, const char *machine); /* name or alias */
bool qemu_build_has_command(const QemuBuild *build, const char *command); /* QMP command */
/* "sandbox", "add-fd", "spice": the names of query-command-line-options, where -m is "memory", -smp
 * "smp-opts" and -boot "boot-opts", and where those that QEMU takes apart by hand are missing (display,
 * audiodev, blockdev, cpu, accel=: all there in every QEMU since 7.2). */
bool qemu_build_has_option(const QemuBuild *build, const char *option);

/* Where to: known only of those without "spice" that have "chardev-dbus". */
bool qemu_build_has_audiodev(const QemuBuild *build, const char *driver); /* "dbus" */

/* The name behind an alias ("q35" gives "pc-q35-7.2"), or the name itself; NULL when there is none. A
 * saved VM must come back on the same machine. */
const char *qemu_build_machine_name(const QemuBuild *build, const char *machine);

/* The registry of builds and the questions under way. One per daemon. */
typedef struct QemuBuilds QemuBuilds;

/* `cache_dir` NULL: remember in memory only. `spawner`, borrowed: for builds of trees; NULL: there are none. `user`: the spawner is of one user. */
QemuBuilds *qemu_builds_new(sd_event *event, const char *cache_dir, Spawner *spawner, bool user);
void qemu_builds_free(QemuBuilds *builds); /* kills probes that run; their callbacks are not called */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuBuilds, qemu_builds_free)

/* Either `build` (borrowed) or `error` (borrowed) is set. */
typedef void (*QemuBuildReply)(QemuBuild *build, const Error *error, void *userdata);

/* Finds what `path` of `tree` (NULL: the host) can do. Known already: *ret is set (a reference of the caller's) and 1 is returned,
 * `reply` is not called. Else 0: a probe runs (one per identity, however many ask) and `reply` comes from the
 * event loop. Negative errno: `reply` will not come. `cookie`: see qemu_builds_cancel(). */
int qemu_builds_get(
        QemuBuilds *builds, QemuTree *tree, const char *path, QemuBuildReply reply, void *userdata, QemuBuild **ret);

/* No reply will reach `userdata` any more; the probe itself goes on for the others. */
void qemu_builds_cancel(QemuBuilds *builds, void *userdata);

/* What is known of `path` of the tree at `root` without asking anybody, a reference; NULL: nothing, or it is another one by now. */
QemuBuild *qemu_builds_recall(QemuBuilds *builds, const char *root, const char *path);

/* The binary that `Binary=` unset means: the first of qemu-system-ARCH and qemu-kvm in /usr/bin,
 * /usr/libexec, /usr/local/bin that is there for the host's architecture. NULL and an Error that names
 * the package to install. The caller frees. */
char *qemu_default_binary(Error **ret_error);
/* The same of a tree. */
char *qemu_find_binary(const QemuTree *tree, Error **ret_error);
/* The folders where it is looked for, NULL-terminated; and whether one of that name there is a QEMU that runs machines. */
extern const char *const qemu_binary_folders[];
bool qemu_binary_is_named(const char *name);

/* All builds found on the host so far, borrowed, NULL-terminated, g_free. */
QemuBuild **qemu_builds_list(QemuBuilds *builds);
