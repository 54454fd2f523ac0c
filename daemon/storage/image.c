/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "lock.h"

/* The qcow2 header, docs/interop/qcow2.txt of QEMU; all numbers big-endian. */
#define QCOW2_MAGIC "QFI\xfb"
#define QCOW2_BACKING_OFFSET 8
#define QCOW2_BACKING_SIZE 16
#define QCOW2_HEADER_V2 72
#define QCOW2_VERSION 4
#define QCOW2_SIZE 24
#define QCOW2_INCOMPATIBLE 72
#define QCOW2_AUTOCLEAR 88
#define QCOW2_HEADER_LENGTH 100
#define QCOW2_EXTENSION_END 0x00000000U
#define QCOW2_EXTENSION_BACKING_FORMAT 0xe2792acaU
#define QCOW2_INCOMPATIBLE_DATA_FILE (UINT64_C(1) << 2)
#define QCOW2_AUTOCLEAR_BITMAPS UINT64_C(1)
#define QCOW2_BACKING_NAME_MAX 1023
#define HEAD_SIZE 65536
#define HEAD_ALIGN 4096 /* for O_DIRECT */

static const char *const image_formats[_IMAGE_FORMAT_MAX] = {
    [IMAGE_RAW] = "raw",
    [IMAGE_QCOW2] = "qcow2",
};

const char *image_format_to_string(ImageFormat format)
{
    return image_formats[format];
}

void image_free(Image *image)
{
    while (image) {
        Image *next = image->backing;
        close_fd(&image->fd);
        close_fd(&image->read_fd);
        g_free(image->path);
        g_free(image);
        image = next;
    }
}

static uint32_t be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return GUINT32_FROM_BE(v);
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_BE(v);
}

static bool format_from_string(const char *s, ImageFormat *ret)
{
    for (ImageFormat f = 0; f < _IMAGE_FORMAT_MAX; f++)
        if (g_str_equal(s, image_formats[f])) {
            *ret = f;
            return true;
        }
    return false;
}

static bool open_files(Image *image, const ImageSpec *spec, Error **ret_error)
{
    /* O_NONBLOCK: a FIFO or a dead device must not stop the daemon; regular files do not care. */
    int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode = spec->read_only ? O_RDONLY : O_RDWR;
    image->direct = spec->direct;
    image->fd = open(spec->path, flags | mode | (spec->direct ? O_DIRECT : 0));
    if (image->fd < 0 && errno == EINVAL && spec->direct) {
        image->direct = false;
        image->fd = open(spec->path, flags | mode);
    }
    if (image->fd < 0) {
        if (errno == ENOENT)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, spec->path, "Look at Source=", "there is no such disk image");
        return error_set_errno(ret_error, errno, spec->path, "the disk image cannot be opened%s", spec->read_only ? "" : " for writing");
    }

    struct stat st;
    if (fstat(image->fd, &st) < 0)
        return error_set_errno(ret_error, errno, spec->path, "the disk image cannot be read");
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, spec->path, "Name an image file or a block device in Source=",
            "it is neither a file nor a block device");
    image->block_device = S_ISBLK(st.st_mode);
    off_t end = image->block_device ? lseek(image->fd, 0, SEEK_END) : st.st_size;
    image->size = end > 0 ? (uint64_t) end : 0;
    image->dev = image->block_device ? st.st_rdev : st.st_dev;
    image->inode = image->block_device ? 0 : st.st_ino;

    /* The same open file again, by its descriptor: the path is not looked up twice. */
    if (!spec->read_only) {
        g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", image->fd);
        image->read_fd = open(self, flags | O_RDONLY | (image->direct ? O_DIRECT : 0));
        if (image->read_fd < 0)
            return error_set_errno(ret_error, errno, spec->path, "the disk image cannot be opened for reading");
        image->read_elsewhere = lock_check_writing(image->fd) < 0;
    }
    return true;
}

bool image_set_direct(Image *image, bool direct)
{
    const int fds[] = {image->fd, image->read_fd};
    bool all = true;
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        int flags = fds[i] < 0 ? -1 : fcntl(fds[i], F_GETFL);
        if (fds[i] >= 0 && fcntl(fds[i], F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
            all = false;
    }
    /* One with and one without would not do. */
    if (!all)
        return direct ? image_set_direct(image, false) : image->direct;
    return image->direct = direct;
}

static ssize_t read_head(const Image *image, uint8_t *head)
{
    int fd = image->read_fd >= 0 ? image->read_fd : image->fd;
    ssize_t n;
    do
        n = pread(fd, head, HEAD_SIZE, 0);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool decide_format(Image *image, const ImageSpec *spec, const uint8_t *head, size_t n, Error **ret_error)
{
    bool looks_qcow2 = n >= QCOW2_HEADER_V2 && memcmp(head, QCOW2_MAGIC, 4) == 0;
    if (spec->format) {
        if (!format_from_string(spec->format, &image->format))
            return error_set(ret_error, ERROR_UNSUPPORTED, spec->path, "Convert it with 'qemu-img convert -O qcow2'",
                "images of the format \"%s\" are not supported", spec->format);
    } else
        image->format = g_str_has_suffix(spec->path, ".qcow2") ? IMAGE_QCOW2 : IMAGE_RAW;

    if (image->format == IMAGE_QCOW2 && !looks_qcow2)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, spec->path, "Set Format=raw if it is a raw image", "it is no qcow2 image");
    if (image->format == IMAGE_RAW && looks_qcow2 && !spec->format)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, spec->path,
            "Set Format=qcow2 if you made it so, Format=raw if a guest may have written this",
            "it holds a qcow2 image, which its name does not say");
    return true;
}

/* The backing file's name and format in a qcow2 header; *ret_name NULL when there is none. */
static bool read_backing(const Image *image, const uint8_t *head, size_t n, char **ret_name, char **ret_format, Error **ret_error)
{
    uint32_t version = be32(head + QCOW2_VERSION);
    if (version < 2 || version > 3)
        return error_set(ret_error, ERROR_UNSUPPORTED, image->path, NULL, "qcow2 version %u is not supported", version);
    if (version == 3 && n >= QCOW2_HEADER_LENGTH + 4 && (be64(head + QCOW2_INCOMPATIBLE) & QCOW2_INCOMPATIBLE_DATA_FILE))
        return error_set(ret_error, ERROR_UNSUPPORTED, image->path, "Convert it with 'qemu-img convert'",
            "qcow2 images with an external data file are not supported");

    uint64_t offset = be64(head + QCOW2_BACKING_OFFSET);
    uint32_t size = be32(head + QCOW2_BACKING_SIZE);
    if (offset == 0 || size == 0)
        return true;
    if (size > QCOW2_BACKING_NAME_MAX || offset > n || size > n - offset)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, image->path, NULL, "its qcow2 header is damaged");
    g_autofree char *name = g_strndup((const char *) head + offset, size);
    g_autofree char *format = NULL;

    size_t at = version == 2 ? QCOW2_HEADER_V2 : be32(head + QCOW2_HEADER_LENGTH);
    while (at + 8 <= MIN(n, offset)) {
        uint32_t type = be32(head + at), length = be32(head + at + 4);
        at += 8;
        if (type == QCOW2_EXTENSION_END || length > n - at)
            break;
        if (type == QCOW2_EXTENSION_BACKING_FORMAT)
            format = g_strndup((const char *) head + at, MIN(length, 32U));
        at += (length + 7U) & ~7U;
    }
    if (!format)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, image->path, "Add it with 'qemu-img rebase -u -F FORMAT -b FILE'",
            "it does not say the format of its backing file \"%s\"", name);
    *ret_name = g_steal_pointer(&name);
    *ret_format = g_steal_pointer(&format);
    return true;
}

static Image *open_chain(const ImageSpec *spec, unsigned depth, Error **ret_error);

static bool open_backing(Image *image, const char *name, const char *format, unsigned depth, Error **ret_error)
{
    const char *file = g_str_has_prefix(name, "file:") ? name + 5 : name;
    if (g_str_has_prefix(file, "json:") || (!g_path_is_absolute(file) && strchr(file, ':')))
        return error_set(ret_error, ERROR_UNSUPPORTED, image->path, NULL, "its backing file \"%s\" is not a file on this host", file);
    g_autofree char *dir = g_path_get_dirname(image->path);
    g_autofree char *path = g_path_is_absolute(file) ? g_strdup(file) : g_build_filename(dir, file, NULL);
    ImageSpec spec = {.path = path, .format = format, .read_only = true, .direct = image->direct};
    image->backing = open_chain(&spec, depth + 1, ret_error);
    return image->backing != NULL;
}

static Image *open_chain(const ImageSpec *spec, unsigned depth, Error **ret_error)
{
    if (depth >= IMAGE_CHAIN_MAX) {
        error_set(ret_error, ERROR_UNSUPPORTED, spec->path, "Shorten it with 'qemu-img commit' or 'qemu-img rebase'",
            "its chain of backing files is longer than %d, or comes back to itself", IMAGE_CHAIN_MAX);
        return NULL;
    }
    g_autoptr(Image) image = g_new0(Image, 1);
    image->fd = image->read_fd = -1;
    image->path = g_strdup(spec->path);
    image->read_only = spec->read_only;
    if (!open_files(image, spec, ret_error))
        return NULL;

    g_autofree uint8_t *head = aligned_alloc(HEAD_ALIGN, HEAD_SIZE);
    if (!head) {
        error_set_errno(ret_error, ENOMEM, spec->path, "the disk image cannot be read");
        return NULL;
    }
    ssize_t n = read_head(image, head);
    if (n < 0) {
        error_set_errno(ret_error, errno, spec->path, "the disk image cannot be read");
        return NULL;
    }
    if (!decide_format(image, spec, head, (size_t) n, ret_error))
        return NULL;
    if (image->format == IMAGE_QCOW2) {
        image->size = be64(head + QCOW2_SIZE);
        image->has_bitmaps = be32(head + QCOW2_VERSION) >= 3 && n >= QCOW2_HEADER_LENGTH && (be64(head + QCOW2_AUTOCLEAR) & QCOW2_AUTOCLEAR_BITMAPS);
        g_autofree char *name = NULL, *format = NULL;
        if (!read_backing(image, head, (size_t) n, &name, &format, ret_error))
            return NULL;
        if (name && !open_backing(image, name, format, depth, ret_error))
            return NULL;
    }
    return g_steal_pointer(&image);
}

void image_read_info(int fd, const char *name, ImageInfo *ret)
{
    uint8_t head[4096];
    struct stat st;
    ssize_t n = pread(fd, head, sizeof head, 0);
    *ret = (ImageInfo){.format = IMAGE_RAW, .size = fstat(fd, &st) < 0 ? 0 : (uint64_t) st.st_size};
    if (n < QCOW2_HEADER_V2 || memcmp(head, QCOW2_MAGIC, 4) != 0 || !g_str_has_suffix(name, ".qcow2"))
        return;
    ret->format = IMAGE_QCOW2;
    ret->size = be64(head + QCOW2_SIZE);
    uint64_t offset = be64(head + QCOW2_BACKING_OFFSET);
    uint32_t size = be32(head + QCOW2_BACKING_SIZE);
    if (offset == 0 || size == 0 || size > QCOW2_BACKING_NAME_MAX || offset > (uint64_t) n || size > (uint64_t) n - offset)
        return;
    g_autofree char *backing = g_strndup((const char *) head + offset, size);
    ret->backing = g_utf8_make_valid(backing, -1);
}

Image *image_open(const ImageSpec *spec, Error **ret_error)
{
    return open_chain(spec, 0, ret_error);
}
