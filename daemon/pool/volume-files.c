/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "foreign.h"
#include "identity.h"
#include "lock.h"
#include "signed-sums.h"

#define VOLUME_MODE 0600
#define SUM_PIECE (1024 * 1024)
#define BLOCK 512U /* st_blocks counts these (stat(2)) */

char *upload_name(const char *name, uid_t owner)
{
    return g_strdup_printf(".%s.%u" UPLOAD_SUFFIX, name, owner);
}

VolumeFiles *volume_files_new(void)
{
    VolumeFiles *files = g_atomic_rc_box_new0(VolumeFiles);
    files->dir_fd = files->fd = files->read_fd = files->import_fd = files->packed_fd = files->keyring_fd = files->keyring = -1;
    files->backing_fds = fd_array_new();
    files->mode = VOLUME_MODE;
    return files;
}

VolumeFiles *volume_files_ref(VolumeFiles *files)
{
    return g_atomic_rc_box_acquire(files);
}

static void clear(gpointer data)
{
    VolumeFiles *files = data;
    if (files->make && files->part && !files->keep && files->dir_fd >= 0)
        (void) unlinkat(files->dir_fd, files->part, 0);
    image_free(files->image);
    close_fd(&files->fd);
    close_fd(&files->read_fd);
    close_fd(&files->dir_fd);
    close_fd(&files->import_fd);
    g_array_unref(files->backing_fds);
    close_fd(&files->packed_fd);
    close_fd(&files->keyring_fd);
    close_fd(&files->keyring);
    error_free(files->error);
    g_free(files->dir);
    g_free(files->name);
    g_free(files->part);
    g_free(files->source);
    for (size_t i = 0; i < G_N_ELEMENTS(files->sums); i++)
        g_free(files->sums[i]);
}

void volume_files_unref(gpointer files)
{
    g_atomic_rc_box_release_full(files, clear);
}

/* ---- in a thread ---- */

static bool open_dir(VolumeFiles *files, Error **ret_error)
{
    files->dir_fd = open(files->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return files->dir_fd >= 0 || error_set_errno(ret_error, errno, files->dir, "the pool's folder cannot be opened");
}

static bool fail_exists(const VolumeFiles *files, const char *name, Error **ret_error)
{
    return error_set(ret_error, ERROR_EXISTS, name, "Choose another name, or delete it first", "there is such a file in %s", files->dir);
}

/* It goes with its descriptor. Beside the part, since it may be large. */
static bool make_packed(VolumeFiles *files, Error **ret_error)
{
    files->packed_fd = openat(files->dir_fd, files->part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, VOLUME_MODE);
    if (files->packed_fd >= 0 && unlinkat(files->dir_fd, files->part, 0) >= 0)
        return true;
    return error_set_errno(ret_error, errno, files->name, "it cannot be made in %s", files->dir);
}

/* The file is made last: from then on all that is made by this thread belongs to somebody else. */
static bool make_part(VolumeFiles *files, Error **ret_error)
{
    struct stat st;
    g_autofree char *part = g_strdup(files->part);
    if (fstatat(files->dir_fd, files->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return fail_exists(files, files->name, ret_error);
    int r = identity_make_for(files->owner);
    if (r < 0)
        return error_set_errno(ret_error, r, files->name, "it cannot be made for its owner");
    /* What an earlier vmd left there is nobody's: two that make one name are refused before. */
    (void) unlinkat(files->dir_fd, part, 0);
    if (files->packed && !make_packed(files, ret_error))
        return false;
    files->fd = openat(files->dir_fd, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, VOLUME_MODE);
    if (files->fd < 0) {
        g_clear_pointer(&files->part, g_free);
        return error_set_errno(ret_error, errno, files->name, "it cannot be made in %s", files->dir);
    }
    files->read_fd = openat(files->dir_fd, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return files->read_fd >= 0 || error_set_errno(ret_error, errno, files->name, "it cannot be opened again");
}

/* Who uploads it may try anything: it is the owner's own file, and nobody writes it any more who was not there before. */
static bool open_upload(VolumeFiles *files, Error **ret_error)
{
    struct stat st;
    files->keep = true;
    files->fd = openat(files->dir_fd, files->part, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (files->fd < 0 && errno == ENOENT)
        return error_set(ret_error, ERROR_NO_SUCH_VOLUME, files->name, "Upload it first", "nothing of it was uploaded");
    files->read_fd = files->fd < 0 ? -1 : openat(files->dir_fd, files->part, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (files->read_fd < 0 || fstat(files->fd, &st) < 0)
        return error_set_errno(ret_error, errno, files->name, "what was uploaded cannot be opened");
    if (!S_ISREG(st.st_mode) || st.st_uid != files->owner || st.st_nlink != 1)
        return error_set(ret_error, ERROR_EXISTS, files->name, "Choose another name", "what was uploaded is somebody else's");
    if (lock_alone(files->fd) < 0)
        return error_set(ret_error, ERROR_BUSY, files->name, "Close it first", "what was uploaded is still open");
    return true;
}

/* No link leads out of the pool, whoever may write into its folder. */
static bool check_file(VolumeFiles *files, Error **ret_error)
{
    struct stat st;
    if (fstatat(files->dir_fd, files->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set_errno(ret_error, errno, files->name, "it cannot be found in %s", files->dir);
    return S_ISREG(st.st_mode) || error_set(ret_error, ERROR_NO_SUCH_VOLUME, files->name, NULL, "it is no regular file");
}

/* From then on this thread reads what the owner can read. */
static bool assume_owner(const VolumeFiles *files, Error **ret_error)
{
    int r = files->owner == geteuid() ? 0 : identity_assume(files->owner);
    return r >= 0 || error_set_errno(ret_error, r, files->name, "its owner's rights cannot be taken");
}

static bool open_all(VolumeFiles *files, Error **ret_error)
{
    if (!open_dir(files, ret_error))
        return false;
    if (files->make)
        return files->uploaded ? open_upload(files, ret_error) : make_part(files, ret_error);
    g_autofree char *path = g_build_filename(files->dir, files->name, NULL);
    const ImageSpec spec = {.path = path, .read_only = !files->write};
    if (!check_file(files, ret_error) || !assume_owner(files, ret_error))
        return false;
    files->image = image_open(&spec, ret_error);
    return files->image != NULL;
}

void volume_files_source(void *userdata)
{
    VolumeFiles *files = userdata;
    const ImageSpec spec = {.path = files->source, .format = files->source_format, .read_only = true};
    if (files->backing_fds->len > 0)
        files->image = foreign_open_chain(files->import_fd, files->backing_fds, files->name, &files->error);
    else if (files->import_fd >= 0)
        files->image = foreign_open(files->import_fd, files->source_format, files->name, &files->error);
    else if (assume_owner(files, &files->error))
        files->image = image_open(&spec, &files->error);
}

static bool read_keyring(VolumeFiles *files, Error **ret_error)
{
    g_autofree uint8_t *data = g_malloc0(KEYRING_SIZE_MAX + 1);
    ssize_t n = pread(files->keyring_fd, data, KEYRING_SIZE_MAX + 1, 0);
    if (n < 0)
        return error_set_errno(ret_error, errno, "keyring", "it cannot be read");
    if (n == 0 || n > KEYRING_SIZE_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keyring", "Make one with 'gpg --export'", "it is empty, or larger than a megabyte");
    if (g_str_has_prefix((const char *) data, "-----"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keyring", "Make it one with 'gpg --dearmor'", "it is text, and no keyring");
    files->keyring = memfd_create("vmd-keyring", MFD_CLOEXEC);
    return (files->keyring >= 0 && pwrite(files->keyring, data, (size_t) n, 0) == n) || error_set_errno(ret_error, errno, "keyring", "it cannot be copied");
}

/* gpgv has a uid that could not open it again. */
void volume_files_keyring(void *userdata)
{
    VolumeFiles *files = userdata;
    (void) read_keyring(files, &files->error);
}

void volume_files_open(void *userdata)
{
    VolumeFiles *files = userdata;
    (void) open_all(files, &files->error);
}

void volume_files_size(void *userdata)
{
    VolumeFiles *files = userdata;
    int fd = files->make ? files->fd : files->image->fd;
    if (files->allocate && fallocate(fd, 0, 0, (off_t) files->size) < 0 && errno != EOPNOTSUPP)
        (void) error_set_errno(&files->error, errno, files->name, "there is no room for it in %s", files->dir);
    else if (ftruncate(fd, (off_t) files->size) < 0)
        (void) error_set_errno(&files->error, errno, files->name, "its size cannot be set");
}

static void copied(VolumeFiles *files, int r, const char *cause)
{
    if (r == -ECANCELED)
        (void) error_set(&files->error, ERROR_CANCELLED, files->name, NULL, "it was cancelled");
    else if (r < 0)
        (void) error_set_errno(&files->error, r, files->name, "%s", cause);
}

void volume_files_copy(void *userdata)
{
    VolumeFiles *files = userdata;
    copied(files, copy_file(files->image->fd, files->fd, &files->copy), "it cannot be copied");
}

/* What a caller opened may be on a file system of the caller's that never answers: bytes of it are copied by a worker, and here
 * only what the pool's own file system shares. */
void volume_files_share(void *userdata)
{
    VolumeFiles *files = userdata;
    if (!g_str_equal(files->source_format, "raw") || files->image->block_device || copy_share(files->image->fd, files->fd) < 0)
        return;
    files->shared = true;
    if (files->size > files->image->size && ftruncate(files->fd, (off_t) files->size) < 0)
        (void) error_set_errno(&files->error, errno, files->name, "its size cannot be set");
}

/* A piece for both, since it is read once. */
static bool add_to_sums(VolumeFiles *files, GChecksum *const *sums, Error **ret_error)
{
    int fd = files->packed ? files->packed_fd : files->read_fd;
    g_autofree uint8_t *buffer = g_malloc(SUM_PIECE);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set_errno(ret_error, errno, files->name, "what came cannot be read");
    atomic_store(&files->copy.total, (uint64_t) st.st_size);
    for (off_t at = 0;;) {
        ssize_t n = pread(fd, buffer, SUM_PIECE, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(ret_error, errno, files->name, "what came cannot be read");
        if (n == 0)
            return true;
        if (atomic_load(&files->copy.cancelled))
            return error_set(ret_error, ERROR_CANCELLED, files->name, NULL, "it was cancelled");
        for (size_t i = 0; i < G_N_ELEMENTS(files->sums); i++)
            if (sums[i])
                g_checksum_update(sums[i], buffer, n);
        at += n;
        atomic_store(&files->copy.done, (uint64_t) at);
    }
}

static bool check_sums(VolumeFiles *files, Error **ret_error)
{
    static const GChecksumType types[] = {G_CHECKSUM_SHA256, G_CHECKSUM_SHA512};
    GChecksum *sums[G_N_ELEMENTS(types)] = {};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        sums[i] = files->sums[i] ? g_checksum_new(types[i]) : NULL;
    bool good = add_to_sums(files, sums, ret_error);
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (good && sums[i] && g_ascii_strcasecmp(g_checksum_get_string(sums[i]), files->sums[i]) != 0)
            good = error_set(ret_error, ERROR_FAILED, files->name, "Compare it with what the image's makers say",
                "what came has another checksum, %s", g_checksum_get_string(sums[i]));
        g_clear_pointer(&sums[i], g_checksum_free);
    }
    return good;
}

/* Where the name does not say that it is qcow2, but it is, it would be used as something else. */
static bool check_image(VolumeFiles *files, Error **ret_error)
{
    bool named = g_str_has_suffix(files->name, ".qcow2");
    g_autoptr(Error) error = NULL;
    g_autoptr(Image) image = foreign_open(files->read_fd, "qcow2", files->name, &error);
    if (named && !image)
        return error_propagate(ret_error, g_steal_pointer(&error));
    if (!named && image)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, files->name, "Give it a name that ends in \".qcow2\"", "what came is a qcow2 image");
    return true;
}

void volume_files_verify(void *userdata)
{
    VolumeFiles *files = userdata;
    (void) (check_sums(files, &files->error) && (files->packed || check_image(files, &files->error)));
}

void volume_files_unpacked(void *userdata)
{
    VolumeFiles *files = userdata;
    struct stat st;
    /* gzip never does, the others always. */
    bool full = fstat(files->fd, &st) >= 0 && (uint64_t) st.st_blocks * BLOCK >= (uint64_t) st.st_size;
    if (check_image(files, &files->error) && full)
        copied(files, copy_dig_holes(files->fd, &files->copy), "it cannot be read");
}

void volume_files_check(void *userdata)
{
    VolumeFiles *files = userdata;
    struct stat st;
    if (fstat(files->fd, &st) < 0)
        (void) error_set_errno(&files->error, errno, files->name, "what was uploaded cannot be read");
    else if (st.st_size == 0)
        (void) error_set(&files->error, ERROR_INVALID_SETTINGS, files->name, NULL, "nothing of it was uploaded");
    else
        (void) check_image(files, &files->error);
    /* It would be no better the next time. */
    files->keep = !files->error;
}

void volume_files_wipe(void *userdata)
{
    VolumeFiles *files = userdata;
    copied(files, copy_zeros(files->image->fd, &files->copy), "it cannot be overwritten");
}

static bool commit(VolumeFiles *files, Error **ret_error)
{
    if (files->mode != VOLUME_MODE && fchmod(files->fd, files->mode) < 0)
        return error_set_errno(ret_error, errno, files->name, "its mode cannot be set");
    if (fsync(files->fd) < 0)
        return error_set_errno(ret_error, errno, files->name, "it cannot be written to disk");
    int r = renameat2(files->dir_fd, files->part, files->dir_fd, files->name, RENAME_NOREPLACE);
    /* NFS has no such rename. */
    if (r < 0 && errno == EINVAL)
        r = linkat(files->dir_fd, files->part, files->dir_fd, files->name, 0) < 0 ? -1 : unlinkat(files->dir_fd, files->part, 0);
    if (r < 0 && errno == EEXIST)
        return fail_exists(files, files->name, ret_error);
    if (r < 0)
        return error_set_errno(ret_error, errno, files->name, "it cannot be put in place");
    g_clear_pointer(&files->part, g_free);
    (void) fsync(files->dir_fd);
    return true;
}

void volume_files_commit(void *userdata)
{
    VolumeFiles *files = userdata;
    (void) commit(files, &files->error);
}

static bool rename_file(VolumeFiles *files, Error **ret_error)
{
    if (!open_dir(files, ret_error) || !check_file(files, ret_error))
        return false;
    if (!files->part)
        return unlinkat(files->dir_fd, files->name, 0) == 0 || error_set_errno(ret_error, errno, files->name, "it cannot be deleted");
    int r = renameat2(files->dir_fd, files->name, files->dir_fd, files->part, RENAME_NOREPLACE);
    if (r < 0 && errno == EINVAL)
        r = linkat(files->dir_fd, files->name, files->dir_fd, files->part, 0) < 0 ? -1 : unlinkat(files->dir_fd, files->name, 0);
    if (r < 0 && errno == EEXIST)
        return fail_exists(files, files->part, ret_error);
    return r == 0 || error_set_errno(ret_error, errno, files->name, "it cannot be renamed");
}

void volume_files_rename(void *userdata)
{
    VolumeFiles *files = userdata;
    (void) rename_file(files, &files->error);
}
