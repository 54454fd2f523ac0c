/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "foreign.h"
#include "name.h"
#include "signature.h"
#include "volume-work.h"

#define IMAGE_MODE 0644

static const char *const preallocations[_PREALLOCATION_MAX] = {
    [PREALLOCATE_OFF] = "off",
    [PREALLOCATE_METADATA] = "metadata",
    [PREALLOCATE_FULL] = "full",
};

bool preallocation_from_string(const char *s, Preallocation *ret)
{
    for (Preallocation p = 0; p < _PREALLOCATION_MAX; p++)
        if (g_str_equal(s, preallocations[p])) {
            *ret = p;
            return true;
        }
    return false;
}

static char *thing_of(const Pool *pool, const char *name)
{
    return g_strdup_printf("Volume \"%s/%s\"", pool->name, name);
}

static bool is_being_made(const Pool *pool, const char *name)
{
    for (guint i = 0; i < pool->manager->works->len; i++) {
        const VolumeWork *work = pool->manager->works->pdata[i];
        if (work->pool == pool && g_str_equal(work->files->name, name))
            return true;
    }
    return false;
}

static const WorkKind *kind_of_wish(const VolumeWish *wish, const Volume *source, ImageFormat format)
{
    if (!source)
        return &volume_create_kind;
    if (wish->overlay)
        return &volume_overlay_kind;
    /* With another size, or with what is behind it, it is not the same bytes. */
    bool same = source->format == format && wish->size == 0 && !wish->compress && !source->backing;
    return same ? &volume_clone_kind : &volume_convert_kind;
}

/* Where the name says what is in it, it does not lie. */
static bool check_format(const VolumeWish *wish, ImageFormat format, const char *thing, Error **ret_error)
{
    bool named = g_str_has_suffix(wish->name, ".qcow2");
    if (named != (format == IMAGE_QCOW2))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Name it so, or choose another format",
            "the name of a qcow2 volume ends in \".qcow2\", and no other does");
    if (wish->overlay && format != IMAGE_QCOW2)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Choose a name that ends in \".qcow2\"", "only a qcow2 volume can be over another one");
    return true;
}

/* Whether something new of that name can be made there; its format, and the work, which has not begun. */
static bool check_new(Pool *pool, const VolumeWish *wish, ImageFormat *ret_format, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, wish->name);
    ImageFormat format = wish->format_set ? wish->format : g_str_has_suffix(wish->name, ".qcow2") ? IMAGE_QCOW2 : IMAGE_RAW;
    if (!pool_check_running(pool, ret_error) || !check_format(wish, format, thing, ret_error))
        return false;
    *ret_format = format;
    if (pool_find_volume(pool, wish->name) || is_being_made(pool, wish->name))
        return error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
    return true;
}

static VolumeWork *work_of_wish(Pool *pool, const VolumeWish *wish, const WorkKind *kind, ImageFormat format)
{
    VolumeWork *work = volume_work_new(pool, kind, wish->name, wish->image ? geteuid() : wish->owner);
    work->format = format;
    work->size = work->files->size = wish->size;
    work->preallocation = wish->preallocation;
    work->compress = wish->compress;
    work->files->allocate = wish->preallocation == PREALLOCATE_FULL;
    if (wish->image)
        work->files->mode = IMAGE_MODE;
    return work;
}

bool volume_make(Pool *pool, const VolumeWish *wish, const char **ret_job_path, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, wish->name);
    const Volume *source = NULL;
    ImageFormat format;
    if (!pool_check_running(pool, ret_error) || (wish->from && !pool_check_running(wish->from, ret_error)))
        return false;
    if (wish->from && !(source = pool_find_volume_or_error(wish->from, wish->volume, ret_error)))
        return false;
    if (!check_new(pool, wish, &format, ret_error))
        return false;
    if (!source && wish->size == 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Give it one, such as 20G", "it has no size");
    if (source && !wish->overlay && wish->size > 0 && wish->size < source->size)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "it cannot be smaller than what it is made from");

    VolumeWork *work = work_of_wish(pool, wish, kind_of_wish(wish, source, format), format);
    if (source) {
        work->files->source = g_build_filename(wish->from->path, source->name, NULL);
        work->files->source_format = image_format_to_string(source->format);
    }
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}

bool volume_import(Pool *pool, const VolumeWish *wish, int fd, const char *format_name, const char **ret_job_path, Error **ret_error)
{
    ImageFormat format;
    if (!foreign_format(format_name))
        return error_set(ret_error, ERROR_UNSUPPORTED, "format", "There are raw, qcow2, vmdk, vdi, vhdx and vpc", "there is no format \"%.32s\"", format_name);
    if (!check_new(pool, wish, &format, ret_error))
        return false;
    bool over = wish->backing && wish->backing->len > 0;
    if (over && (!g_str_equal(format_name, "qcow2") || wish->backing->len >= IMAGE_CHAIN_MAX))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "backing", NULL, "a qcow2 image can be over up to %d others, and no other can", IMAGE_CHAIN_MAX - 1);
    fd_cleanup int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_set_errno(ret_error, errno, wish->name, "the image's descriptor cannot be copied");
    VolumeWork *work = work_of_wish(pool, wish, &volume_import_kind, format);
    for (guint i = 0; over && i < wish->backing->len; i++) {
        int below = fcntl(g_array_index(wish->backing, int, i), F_DUPFD_CLOEXEC, 3);
        g_array_append_val(work->files->backing_fds, below);
    }
    work->files->import_fd = copy;
    work->files->source_format = foreign_format(format_name);
    copy = -1;
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}

static bool check_sum(const char *sum, size_t length, const char *what, Error **ret_error)
{
    bool valid = !sum || (strlen(sum) == length && strspn(sum, "0123456789abcdefABCDEF") == length);
    return valid || error_set(ret_error, ERROR_INVALID_SETTINGS, what, NULL, "it has %zu hexadecimal digits", length);
}

static bool check_lists(const PullWish *wish, Error **ret_error)
{
    if (!wish->list || !wish->signature)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keyring", "Give their URLs as sums and signature", "checksums and their signature are not given");
    return download_check_url(wish->list, ret_error) && download_check_url(wish->signature, ret_error) && signature_check_program(ret_error);
}

bool volume_pull(Pool *pool, const PullWish *wish, const char **ret_job_path, Error **ret_error)
{
    const VolumeWish volume = {.name = wish->name, .image = true};
    ImageFormat format;
    if (!download_check_url(wish->url, ret_error) || (wish->proxy && !download_check_proxy(wish->proxy, ret_error)) ||
        (name_packing(wish->url) && !unpack_check(wish->url, ret_error)) || !check_sum(wish->sums[0], SHA256_DIGITS, "sha256", ret_error) ||
        !check_sum(wish->sums[1], SHA512_DIGITS, "sha512", ret_error))
        return false;
    if (!wish->sums[0] && !wish->sums[1] && wish->keyring < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, wish->url, "Its makers publish one; give it as sha256 or sha512", "no checksum is given");
    if (wish->keyring >= 0 && !check_lists(wish, ret_error))
        return false;
    if (wish->max_size == 0 || wish->max_size > INT64_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "max-size", NULL, "it cannot be meant");
    if (!check_new(pool, &volume, &format, ret_error))
        return false;
    fd_cleanup int keyring = wish->keyring >= 0 ? fcntl(wish->keyring, F_DUPFD_CLOEXEC, 3) : -1;
    if (wish->keyring >= 0 && keyring < 0)
        return error_set_errno(ret_error, errno, "keyring", "its descriptor cannot be copied");
    VolumeWork *work = work_of_wish(pool, &volume, &volume_pull_kind, format);
    work->url = g_strdup(wish->url);
    work->proxy = g_strdup(wish->proxy);
    work->files->packed = name_packing(wish->url);
    work->files->keyring_fd = keyring;
    keyring = -1;
    work->list = wish->keyring >= 0 ? g_strdup(wish->list) : NULL;
    work->signature = g_strdup(wish->signature);
    work->max_size = wish->max_size;
    for (size_t i = 0; i < G_N_ELEMENTS(wish->sums); i++)
        work->files->sums[i] = g_strdup(wish->sums[i]);
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}

bool volume_finish_upload(Pool *pool, const char *name, uid_t owner, const char **ret_job_path, Error **ret_error)
{
    const VolumeWish wish = {.name = name, .owner = owner};
    ImageFormat format;
    if (!check_new(pool, &wish, &format, ret_error))
        return false;
    VolumeWork *work = work_of_wish(pool, &wish, &volume_upload_kind, format);
    work->files->uploaded = true;
    g_free(work->files->part);
    work->files->part = upload_name(name, owner);
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}

/* What others are made from stays as it is. */
static bool check_change(Pool *pool, const Volume *volume, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, volume->name), *overlay = volume_overlay(pool, volume);
    if (overlay)
        return error_set(ret_error, ERROR_IN_USE, thing, NULL, "%s is over it", overlay);
    if (is_being_made(pool, volume->name))
        return error_set(ret_error, ERROR_BUSY, thing, "Wait for it, or cancel it (vmctl jobs)", "a job works on it");
    return pool_check_running(pool, ret_error);
}

bool volume_resize(Pool *pool, const Volume *volume, uint64_t size, bool shrink, const char **ret_job_path, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, volume->name);
    if (!check_change(pool, volume, ret_error))
        return false;
    if (size < volume->size && !shrink)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Make its file systems smaller first, then say that it may shrink",
            "it would lose what is at its end");
    VolumeWork *work = volume_work_new(pool, &volume_resize_kind, volume->name, volume->owner);
    work->size = work->files->size = size;
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}

bool volume_wipe(Pool *pool, const Volume *volume, const char **ret_job_path, Error **ret_error)
{
    if (!check_change(pool, volume, ret_error))
        return false;
    VolumeWork *work = volume_work_new(pool, &volume_wipe_kind, volume->name, volume->owner);
    *ret_job_path = work->job->path;
    volume_work_begin(work);
    return true;
}
