/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuTree: where a QEMU comes from with its modules, firmware and helpers, when that is not the host: [QEMU] Root=, a folder, or
 * the file system in an image, which whoever made the tree has mounted for as long as somebody refers to it.
 *
 * A tree is a distribution's root, and may be anybody's: a container's, say, that runs and changes it. So nothing in it is looked up by a path
 * of the host's, but below a descriptor, out of which no link leads. Reference-counted, on the loop; threads get a copy of the
 * descriptor. Knows nothing of VMs or D-Bus. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include <glib.h>

/* One file as it was when it was looked at. */
typedef struct FileIdentity {
    uint64_t device, inode, mtime_nsec, size;
} FileIdentity;

FileIdentity file_identity_of(const struct stat *st);
bool file_identity_equal(const FileIdentity *a, const FileIdentity *b);

typedef struct QemuTree QemuTree;

/* `folder`: where on the host it is seen, and `fd` (taken) that folder, opened with O_PATH. `image`: the file that is mounted there; NULL: none.
 * `release` (may be NULL) is called when nobody refers to it any more. */
QemuTree *qemu_tree_new(const char *root, const char *folder, int fd, const FileIdentity *image, GDestroyNotify release, void *userdata);
QemuTree *qemu_tree_ref(QemuTree *tree); /* NULL is fine, here and in all below: the host */
void qemu_tree_unref(QemuTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuTree, qemu_tree_unref)

const char *qemu_tree_root(const QemuTree *tree);   /* as Root= has it; NULL: the host */
const char *qemu_tree_folder(const QemuTree *tree); /* NULL: the host */
int qemu_tree_fd(const QemuTree *tree);             /* borrowed; -1: the host, for what follows */
const FileIdentity *qemu_tree_image(const QemuTree *tree); /* NULL: it is a folder */

/* As open(2) of a path of the tree that `root_fd` is; -1: of the host. With a negative errno; O_CLOEXEC is added. */
int tree_open(int root_fd, const char *path, int flags);
int tree_stat(int root_fd, const char *path, struct stat *ret);
/* Whether it is a file that somebody may execute. */
bool tree_has_program(int root_fd, const char *path);
/* The first of /usr/bin, /usr/local/bin and /usr/sbin that has it, a new string; NULL: none. */
char *tree_find_program(int root_fd, const char *name);
/* What is in a folder (char *), sorted, at most `max` of them; empty where there is none. */
GPtrArray *tree_list(int root_fd, const char *folder, unsigned max);
