/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

#define HEAD_SIZE 65536
#define SECTOR 512

/* QCOW2: big-endian. */
#define QCOW2_L1_SIZE 36
#define QCOW2_L1 40

/* VDI: little-endian. */
#define VDI_DATA 0x158
#define VDI_BLOCK_SIZE 0x178
#define VDI_BLOCKS 0x184
#define VDI_HEADER 512

/* VMDK: little-endian; the text that tells of parent and extents is in the second sector, or where the header says. */
#define VMDK_CAPACITY 12
#define VMDK_TEXT 28
#define VMDK_TEXT_SIZE 10240
#define VMDK_HEADER 79

/* VHD ("vpc"): big-endian; a sector at the end, of which all but fixed ones have a copy at the beginning. */
#define VHD_TYPE 60
#define VHD_DIFFERENCING 4

typedef struct Head {
    int fd;
    const char *name;
    uint64_t size; /* of the file */
    const uint8_t *data;
    size_t n;
    bool over; /* another one, which is handed over too */
} Head;

typedef struct Format {
    const char *name;
    const char *magic; /* NULL: none, or checked by `check` */
    size_t magic_at, magic_size;
    bool (*check)(const Head *head, Error **ret_error); /* NULL: QEMU refuses what refers to other files */
} Format;

static bool fail_others(const Head *head, const char *what, Error **ret_error)
{
    return error_set(ret_error, ERROR_UNSUPPORTED, head->name, "Make one image of it first, with 'qemu-img convert'", "the image needs %s", what);
}

static bool fail_damaged(const Head *head, Error **ret_error)
{
    return error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, NULL, "the header of the image is damaged");
}

static uint64_t number(const Head *head, size_t at, size_t size, bool big)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | head->data[big ? at + i : at + size - 1 - i];
    return value;
}

/* QEMU takes what is behind the end of a file for zeros. */
static bool check_end(const Head *head, uint64_t at, uint64_t size, Error **ret_error)
{
    return (at <= head->size && size <= head->size - at) ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, "Get all of it", "the image is shorter than it says");
}

static bool check_qcow2(const Head *head, Error **ret_error)
{
    if (head->n < 72)
        return fail_damaged(head, ret_error);
    uint64_t version = number(head, 4, 4, true);
    if (version < 2 || version > 3)
        return fail_damaged(head, ret_error);
    bool over = number(head, 8, 8, true) != 0;
    if (over && !head->over)
        return fail_others(head, "another file: it is only what differs from that", ret_error);
    if (!over && head->over)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, "Hand it over alone", "the image is not over another one");
    if (version == 3 && head->n >= 80 && (number(head, 72, 8, true) & 4))
        return fail_others(head, "another file, with its data", ret_error);
    return check_end(head, number(head, QCOW2_L1, 8, true), number(head, QCOW2_L1_SIZE, 4, true) * 8, ret_error);
}

static bool check_vdi(const Head *head, Error **ret_error)
{
    if (head->n < VDI_HEADER)
        return fail_damaged(head, ret_error);
    return check_end(head, number(head, VDI_DATA, 4, false), number(head, VDI_BLOCK_SIZE, 4, false) * number(head, VDI_BLOCKS, 4, false), ret_error);
}

/* Its text is searched wherever QEMU may look for it. */
static bool vmdk_has_parent(const Head *head, uint64_t at)
{
    g_autofree char *text = g_malloc0(VMDK_TEXT_SIZE + 1);
    if (at == 0 || at >= head->size)
        return false;
    ssize_t n = pread(head->fd, text, VMDK_TEXT_SIZE, (off_t) at);
    return n > 0 && memmem(text, (size_t) n, "parentFileNameHint", strlen("parentFileNameHint"));
}

static bool check_vmdk(const Head *head, Error **ret_error)
{
    static const char text[] = "# Disk Descriptor";
    if (head->n >= sizeof text && memcmp(head->data, text, sizeof text - 1) == 0)
        return fail_others(head, "other files, with its data: it is a description of them", ret_error);
    if (head->n < VMDK_HEADER || memcmp(head->data, "KDMV", 4) != 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, "Say which format it has", "it is no vmdk image of one file");
    uint64_t at = number(head, VMDK_TEXT, 8, false);
    if (at > UINT64_MAX / SECTOR)
        return fail_damaged(head, ret_error);
    /* Without a capacity QEMU takes it for a description too. */
    if (number(head, VMDK_CAPACITY, 8, false) == 0)
        return fail_others(head, "other files, with its data", ret_error);
    if (vmdk_has_parent(head, SECTOR) || vmdk_has_parent(head, at * SECTOR))
        return fail_others(head, "another file: it is only what differs from that", ret_error);
    return true;
}

static bool check_vpc(const Head *head, Error **ret_error)
{
    uint8_t foot[SECTOR];
    ssize_t n = head->size >= SECTOR ? pread(head->fd, foot, sizeof foot, (off_t) (head->size - SECTOR)) : 0;
    const Head ends[] = {*head, {.data = foot, .n = n > 0 ? (size_t) n : 0}};
    bool found = false;
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        if (ends[i].n < SECTOR || memcmp(ends[i].data, "conectix", 8) != 0)
            continue;
        found = true;
        if (number(&ends[i], VHD_TYPE, 4, true) == VHD_DIFFERENCING)
            return fail_others(head, "another file: it is only what differs from that", ret_error);
    }
    return found || error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, "Say which format it has", "it is no vpc image");
}

static const Format formats[] = {
    {"raw", NULL, 0, 0, NULL},
    {"qcow2", "QFI\xfb", 0, 4, check_qcow2},
    {"vmdk", NULL, 0, 0, check_vmdk},
    {"vdi", "\x7f\x10\xda\xbe", 0x40, 4, check_vdi},
    {"vhdx", "vhdxfile", 0, 8, NULL},
    {"vpc", NULL, 0, 0, check_vpc},
};

static const Format *find_format(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
        if (g_str_equal(formats[i].name, name))
            return &formats[i];
    return NULL;
}

const char *foreign_format(const char *name)
{
    const Format *format = find_format(name);
    return format ? format->name : NULL;
}

static bool check(const Format *format, const Head *head, Error **ret_error)
{
    if (format->magic && (head->n < format->magic_at + format->magic_size || memcmp(head->data + format->magic_at, format->magic, format->magic_size) != 0))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, head->name, "Say which format it has", "it is no %s image", format->name);
    return !format->check || format->check(head, ret_error);
}

/* What the caller could not read, vmd does not read for them. */
static bool check_descriptor(int fd, const char *name, Error **ret_error)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDONLY)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, name, "Open it for reading only", "the image's descriptor cannot be used");
    return true;
}

static Image *open_one(int fd, const char *format_name, bool over, const char *name, Error **ret_error)
{
    const Format *format = find_format(format_name);
    g_autoptr(Image) image = g_new0(Image, 1);
    g_autofree uint8_t *data = g_malloc0(HEAD_SIZE);
    struct stat st;
    image->read_fd = -1;
    image->read_only = true;
    image->path = g_strdup(name);
    image->format = g_str_equal(format_name, "qcow2") ? IMAGE_QCOW2 : IMAGE_RAW;
    image->driver = format->name;
    image->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (image->fd < 0 || fstat(image->fd, &st) < 0) {
        error_set_errno(ret_error, errno, name, "the image cannot be read");
        return NULL;
    }
    if (!check_descriptor(image->fd, name, ret_error))
        return NULL;
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, name, NULL, "the image is neither a file nor a block device");
        return NULL;
    }
    image->block_device = S_ISBLK(st.st_mode);
    image->dev = image->block_device ? st.st_rdev : st.st_dev;
    image->inode = image->block_device ? 0 : st.st_ino;
    off_t end = image->block_device ? lseek(image->fd, 0, SEEK_END) : st.st_size;
    ssize_t n = pread(image->fd, data, HEAD_SIZE, 0);
    if (n < 0 || end < 0) {
        error_set_errno(ret_error, errno, name, "the image cannot be read");
        return NULL;
    }
    image->size = (uint64_t) end;
    const Head head = {.fd = image->fd, .name = name, .size = image->size, .data = data, .n = (size_t) n, .over = over};
    if (n == 0) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, name, NULL, "the image is empty");
        return NULL;
    }
    return check(format, &head, ret_error) ? g_steal_pointer(&image) : NULL;
}

Image *foreign_open(int fd, const char *format, const char *name, Error **ret_error)
{
    return open_one(fd, format, false, name, ret_error);
}

Image *foreign_open_chain(int fd, const GArray *backing, const char *name, Error **ret_error)
{
    g_autoptr(Image) top = open_one(fd, "qcow2", backing->len > 0, name, ret_error);
    Image *last = top;
    for (guint i = 0; last && i < backing->len; i++)
        last = last->backing = open_one(g_array_index(backing, int, i), "qcow2", i + 1 < backing->len, name, ret_error);
    return last ? g_steal_pointer(&top) : NULL;
}
