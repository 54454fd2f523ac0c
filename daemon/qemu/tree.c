/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define LINKS_MAX 40U
#define DEPTH_MAX 100U

struct QemuTree {
    unsigned n_ref;
    char *root, *folder;
    int fd;
    bool is_image;
    FileIdentity image;
    GDestroyNotify release;
    void *userdata;
};

FileIdentity file_identity_of(const struct stat *st)
{
    return (FileIdentity){
            .device = st->st_dev,
            .inode = st->st_ino,
            .mtime_nsec = (uint64_t) st->st_mtim.tv_sec * 1000000000U + (uint64_t) st->st_mtim.tv_nsec,
            .size = (uint64_t) st->st_size,
    };
}

bool file_identity_equal(const FileIdentity *a, const FileIdentity *b)
{
    return a->device == b->device && a->inode == b->inode && a->mtime_nsec == b->mtime_nsec &&
           a->size == b->size;
}

QemuTree *qemu_tree_new(const char *root, const char *folder, int fd, const FileIdentity *image, GDestroyNotify release, void *userdata)
{
    QemuTree *tree = g_new0(QemuTree, 1);

    tree->n_ref = 1;
    tree->root = g_strdup(root);
    tree->folder = g_strdup(folder);
    tree->fd = fd;
    tree->is_image = image;
    if (image)
        tree->image = *image;
    tree->release = release;
    tree->userdata = userdata;
    return tree;
}

QemuTree *qemu_tree_ref(QemuTree *tree)
{
    if (tree)
        tree->n_ref++;
    return tree;
}

void qemu_tree_unref(QemuTree *tree)
{
    if (!tree || --tree->n_ref > 0)
        return;
    /* Before what it is mounted on is let go. */
    close_fd(&tree->fd);
    if (tree->release)
        tree->release(tree->userdata);
    g_free(tree->root);
    g_free(tree->folder);
    g_free(tree);
}

const char *qemu_tree_root(const QemuTree *tree)
{
    return tree ? tree->root : NULL;
}

const char *qemu_tree_folder(const QemuTree *tree)
{
    return tree ? tree->folder : NULL;
}

int qemu_tree_fd(const QemuTree *tree)
{
    return tree ? tree->fd : -1;
}

const FileIdentity *qemu_tree_image(const QemuTree *tree)
{
    return tree && tree->is_image ? &tree->image : NULL;
}

/* The descriptors of the folders from the root down to where a path has led: what ".." leads back to, and out of the root nothing. */
static void close_descriptor(gpointer fd)
{
    (void) close(GPOINTER_TO_INT(fd));
}

static int top_of(const GPtrArray *folders)
{
    return GPOINTER_TO_INT(folders->pdata[folders->len - 1]);
}

/* One name of a path, and what is there becomes the top; a link's text takes the place of the rest. */
static int step(GPtrArray *folders, const char *name, char **rest, unsigned *links)
{
    char text[PATH_MAX];
    struct stat st;
    fd_cleanup int fd = openat(top_of(folders), name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISLNK(st.st_mode)) {
        g_ptr_array_add(folders, GINT_TO_POINTER(steal_fd(&fd)));
        return 0;
    }
    n = readlinkat(fd, "", text, sizeof text - 1);
    if (n < 0)
        return -errno;
    if (++*links > LINKS_MAX)
        return -ELOOP;
    text[n] = 0;
    if (text[0] == '/')
        g_ptr_array_set_size(folders, 1);

    char *all = g_strconcat(text, "/", *rest, NULL);
    g_free(*rest);
    *rest = all;
    return 0;
}

/* As RESOLVE_IN_ROOT of openat2(2), which a service with RestrictSUIDSGID= has not. */
static int open_in_root(int root_fd, const char *path)
{
    g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(close_descriptor);
    g_autofree char *rest = g_strdup(path);
    unsigned links = 0;
    int r = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);

    if (r < 0)
        return -errno;
    g_ptr_array_add(folders, GINT_TO_POINTER(r));
    for (r = 0; r >= 0;) {
        char *begin = rest + strspn(rest, "/");
        size_t n = strcspn(begin, "/");
        g_autofree char *name = g_strndup(begin, n);

        if (n == 0)
            break;
        if (strlen(rest) >= PATH_MAX || folders->len > DEPTH_MAX)
            return -ENAMETOOLONG;
        memmove(rest, begin + n, strlen(begin + n) + 1);
        if (strcmp(name, "..") == 0)
            g_ptr_array_set_size(folders, (int) MAX(folders->len, 2) - 1);
        else if (strcmp(name, ".") != 0)
            r = step(folders, name, &rest, &links);
    }
    if (r < 0)
        return r;
    r = fcntl(top_of(folders), F_DUPFD_CLOEXEC, 3);
    return r < 0 ? -errno : r;
}

int tree_open(int root_fd, const char *path, int flags)
{
    char proc[32];
    int fd;

    if (root_fd < 0) {
        fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    fd_cleanup int found = open_in_root(root_fd, path);
    if (found < 0 || flags & O_PATH)
        return found < 0 ? found : steal_fd(&found);
    (void) snprintf(proc, sizeof proc, "/proc/self/fd/%d", found);
    fd = open(proc, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int tree_stat(int root_fd, const char *path, struct stat *ret)
{
    fd_cleanup int fd = -1;

    if (root_fd < 0)
        return stat(path, ret) < 0 ? -errno : 0;
    fd = tree_open(root_fd, path, O_PATH);
    if (fd < 0)
        return fd;
    return fstat(fd, ret) < 0 ? -errno : 0;
}

bool tree_has_program(int root_fd, const char *path)
{
    struct stat st;

    return tree_stat(root_fd, path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

char *tree_find_program(int root_fd, const char *name)
{
    static const char *const folders[] = {"/usr/bin", "/usr/local/bin", "/usr/sbin"};

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(folders[i], name, NULL);

        if (tree_has_program(root_fd, path))
            return g_steal_pointer(&path);
    }
    return NULL;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *tree_list(int root_fd, const char *folder, unsigned max)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int fd = tree_open(root_fd, folder, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (!dir && fd >= 0)
        (void) close(fd);
    while (dir && names->len < max && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    if (dir)
        (void) closedir(dir);
    g_ptr_array_sort(names, compare_names);
    return names;
}
