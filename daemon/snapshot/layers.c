/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "layers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "identity.h"

static void file_free(void *userdata)
{
    LayerFile *file = userdata;
    image_free(file->image);
    close_fd(&file->dir_fd);
    close_fd(&file->fd);
    close_fd(&file->read_fd);
    g_free(file->path);
    g_free(file->frozen);
    g_free(file->made);
    g_free(file->open);
    g_free(file->format);
    if (file->others)
        g_ptr_array_unref(file->others);
    g_free(file);
}

Layers *layers_new(uid_t owner)
{
    Layers *layers = g_atomic_rc_box_new0(Layers);
    layers->owner = owner;
    layers->files = g_ptr_array_new_with_free_func(file_free);
    return layers;
}

Layers *layers_ref(Layers *layers)
{
    return g_atomic_rc_box_acquire(layers);
}

static void clear(gpointer data)
{
    Layers *layers = data;
    g_ptr_array_unref(layers->files);
    error_free(layers->error);
}

void layers_unref(gpointer layers)
{
    g_atomic_rc_box_release_full(layers, clear);
}

LayerFile *layers_add(Layers *layers, const char *path, const char *frozen, bool volume)
{
    LayerFile *file = g_new0(LayerFile, 1);
    file->dir_fd = file->fd = file->read_fd = -1;
    file->path = g_strdup(path);
    file->frozen = g_strdup(frozen);
    file->volume = volume;
    g_ptr_array_add(layers->files, file);
    return file;
}

/* ---- in a thread ---- */

static const char *base(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* A pool's owners may pass through it, and not read it. */
static bool open_dir(LayerFile *file, Error **ret_error)
{
    g_autofree char *dir = g_path_get_dirname(file->path);
    if (file->dir_fd < 0)
        file->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return file->dir_fd >= 0 || error_set_errno(ret_error, errno, dir, "the disk's folder cannot be opened");
}

static void sync_dir(const LayerFile *file)
{
    fd_cleanup int fd = openat(file->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void) fsync(fd);
}

void layer_open(Layers *layers, LayerFile *file, Error **ret_error)
{
    struct stat st;
    const ImageSpec spec = {.path = file->open, .format = file->format, .read_only = !layers->write};
    if (!open_dir(file, ret_error))
        return;
    file->image = image_open(&spec, ret_error);
    if (!file->image)
        return;
    if (file->image->block_device)
        (void) error_set(ret_error, ERROR_UNSUPPORTED, file->path, "Copy it into a volume", "a block device has no snapshots");
    else if (fstat(file->image->fd, &st) < 0)
        (void) error_set_errno(ret_error, errno, file->path, "the disk image cannot be read");
    file->mode = st.st_mode & 0777;
    file->uid = st.st_uid;
    if (fstatat(file->dir_fd, base(file->path), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        file->disk_dev = st.st_dev;
        file->disk_inode = st.st_ino;
    }
}

/* Without O_DIRECT where the file system has none. */
static int open_made(LayerFile *file, int flags)
{
    int fd = openat(file->dir_fd, file->made, flags | O_NOFOLLOW | O_CLOEXEC | (file->direct ? O_DIRECT : 0), file->mode);
    if (fd < 0 && errno == EINVAL && file->direct) {
        file->direct = false;
        /* Some make the file before they refuse. */
        if (flags & O_EXCL)
            (void) unlinkat(file->dir_fd, file->made, 0);
        fd = openat(file->dir_fd, file->made, flags | O_NOFOLLOW | O_CLOEXEC, file->mode);
    }
    return fd;
}

void layer_make(Layers *layers, LayerFile *file, Error **ret_error)
{
    struct stat st;
    int r = file->volume ? identity_make_for(file->uid) : 0;
    if (r < 0) {
        (void) error_set_errno(ret_error, r, file->path, "a file cannot be made for its owner");
        return;
    }
    /* What a vmd that was killed has left there. */
    (void) unlinkat(file->dir_fd, file->made, 0);
    file->fd = open_made(file, O_RDWR | O_CREAT | O_EXCL);
    file->read_fd = file->fd < 0 ? -1 : open_made(file, O_RDONLY);
    if (file->read_fd < 0 || fstat(file->fd, &st) < 0) {
        (void) error_set_errno(ret_error, errno, file->path, "\"%s\" cannot be made beside it", file->made);
        return;
    }
    file->dev = st.st_dev;
    file->inode = st.st_ino;
}

static bool is_overlay(const LayerFile *file, const char *name)
{
    struct stat st;
    return fstatat(file->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == file->dev && st.st_ino == file->inode;
}

static int exchange(const LayerFile *file)
{
    int r = renameat2(file->dir_fd, base(file->path), file->dir_fd, base(file->frozen), RENAME_EXCHANGE);
    return r < 0 ? -errno : 0;
}

void layer_exchange(Layers *layers, LayerFile *file, Error **ret_error)
{
    /* What a crash leaves must be whole. */
    if (fsync(file->fd) < 0) {
        (void) error_set_errno(ret_error, errno, file->path, "its overlay cannot be written to disk");
        return;
    }
    if (renameat2(file->dir_fd, file->made, file->dir_fd, base(file->frozen), RENAME_NOREPLACE) < 0) {
        (void) error_set_errno(ret_error, errno, file->path, "\"%s\" cannot be made beside it", base(file->frozen));
        return;
    }
    int r = exchange(file);
    if (r == -EINVAL)
        (void) error_set(ret_error, ERROR_UNSUPPORTED, file->path, NULL, "its file system cannot exchange two names at once");
    else if (r < 0)
        (void) error_set_errno(ret_error, r, file->path, "it cannot be frozen");
    else
        sync_dir(file);
}

void layer_undo(Layers *layers, LayerFile *file, Error **ret_error)
{
    if (!open_dir(file, ret_error))
        return;
    (void) unlinkat(file->dir_fd, file->made, 0);
    if (file->inode == 0)
        return;
    int r = is_overlay(file, base(file->path)) ? exchange(file) : 0;
    if (r < 0)
        (void) error_set_errno(ret_error, r, file->path, "it cannot be put back");
    else if (is_overlay(file, base(file->frozen)))
        (void) unlinkat(file->dir_fd, base(file->frozen), 0);
}

static void replace(const LayerFile *file, const char *by, Error **ret_error)
{
    if (renameat(file->dir_fd, by, file->dir_fd, base(file->path)) < 0)
        (void) error_set_errno(ret_error, errno, file->path, "it cannot be replaced");
    else
        sync_dir(file);
}

void layer_replace(Layers *layers, LayerFile *file, Error **ret_error)
{
    if (fsync(file->fd) < 0)
        (void) error_set_errno(ret_error, errno, file->path, "its overlay cannot be written to disk");
    else
        replace(file, file->made, ret_error);
}

void layer_sync(Layers *layers, LayerFile *file, Error **ret_error)
{
    if (file->image && fdatasync(file->image->fd) < 0)
        (void) error_set_errno(ret_error, errno, file->open, "what was merged cannot be written to disk");
}

void layer_settle(Layers *layers, LayerFile *file, Error **ret_error)
{
    if (open_dir(file, ret_error))
        replace(file, base(file->frozen), ret_error);
}

void layer_remove(Layers *layers, LayerFile *file, Error **ret_error)
{
    if (open_dir(file, ret_error) && unlinkat(file->dir_fd, base(file->frozen), 0) < 0 && errno != ENOENT)
        (void) error_set_errno(ret_error, errno, file->frozen, "it cannot be deleted");
}

/* One that cannot be read may be anything. */
static bool is_over(const char *path, const struct stat *below)
{
    char magic[4];
    const ImageSpec spec = {.path = path, .format = "qcow2", .read_only = true};
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno != ENOENT;
    if (pread(fd, magic, sizeof magic, 0) == sizeof magic && memcmp(magic, "QFI\xfb", sizeof magic) != 0)
        return false;
    g_autoptr(Error) error = NULL;
    g_autoptr(Image) image = image_open(&spec, &error);
    return !image || (image->backing && image->backing->dev == below->st_dev && image->backing->inode == below->st_ino);
}

void layer_find_users(Layers *layers, LayerFile *file, Error **ret_error)
{
    struct stat st;
    if (!file->others || !open_dir(file, ret_error) || fstatat(file->dir_fd, base(file->frozen), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    for (guint i = 0; i < file->others->len && !file->shared; i++)
        file->shared = is_over(file->others->pdata[i], &st);
}

void layers_run(void *userdata)
{
    Layers *layers = userdata;
    /* Reading is the owner's right in pools, too; what is changed there is vmd's to change. */
    bool as_owner = (!layers->volumes || layers->act == layer_open) && layers->owner != geteuid();
    int r = as_owner ? identity_assume(layers->owner) : 0;
    if (r < 0) {
        (void) error_set_errno(&layers->error, r, NULL, "the rights of the VM's owner cannot be taken");
        return;
    }
    for (guint i = 0; i < layers->files->len && !layers->error; i++) {
        LayerFile *file = layers->files->pdata[i];
        if (file->volume == layers->volumes && (!layers->only || file == layers->only))
            layers->act(layers, file, &layers->error);
    }
}
