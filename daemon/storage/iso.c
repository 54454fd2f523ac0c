/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ECMA-119 and the Joliet specification. Each number stands in both byte orders where "both" is said there.
 *
 *     sector   0-15   nothing
 *             16, 17  descriptors: of the volume, and of the same with Joliet's names; 18: the end of them
 *             19, 20  path tables of the first, little and big endian; 21, 22: of the second
 *             23, 24  the folder, twice
 *             25-     the files */

#include "iso.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"

#define SECTOR 2048U
#define DESCRIPTORS 16U
#define PATHS 19U
#define FOLDERS 23U
#define FILES 25U
#define PATH_SIZE 10U
#define NAME_MAX_JOLIET 64U

enum { PLAIN, JOLIET, _SIDES };

static void put16(uint8_t *p, uint16_t value)
{
    uint16_t le = GUINT16_TO_LE(value), be = GUINT16_TO_BE(value);
    memcpy(p, &le, sizeof le);
    memcpy(p + 2, &be, sizeof be);
}

static void put32(uint8_t *p, uint32_t value)
{
    uint32_t le = GUINT32_TO_LE(value), be = GUINT32_TO_BE(value);
    memcpy(p, &le, sizeof le);
    memcpy(p + 4, &be, sizeof be);
}

static uint32_t sectors(size_t size)
{
    return (uint32_t) ((size + SECTOR - 1) / SECTOR);
}

/* A name as a folder has it; returns its length. Plain names are numbers, since nobody reads them: "FILE0.;1". */
static size_t put_name(uint8_t *p, unsigned side, const char *name, unsigned number)
{
    if (side == PLAIN)
        return (size_t) snprintf((char *) p, 16, "FILE%u.;1", number);
    size_t n = MIN(strlen(name), NAME_MAX_JOLIET);
    for (size_t i = 0; i < n; i++) {
        p[2 * i] = 0;
        p[2 * i + 1] = (uint8_t) name[i];
    }
    return 2 * n;
}

/* Returns the record's length. `name` of one byte, 0 or 1: the folder itself, and that above it. */
static size_t put_record(uint8_t *p, uint32_t sector, uint32_t size, bool folder, size_t name_length)
{
    size_t length = (33 + name_length + 1) & ~(size_t) 1;
    static const uint8_t date[] = {70, 1, 1, 0, 0, 0, 0};
    p[0] = (uint8_t) length;
    put32(p + 2, sector);
    put32(p + 10, size);
    memcpy(p + 18, date, sizeof date);
    p[25] = folder ? 2 : 0;
    put16(p + 28, 1);
    p[32] = (uint8_t) name_length;
    return length;
}

static void put_text(uint8_t *p, size_t n, unsigned side, const char *text)
{
    for (size_t i = 0; i < n; i++)
        p[i] = side == PLAIN || i % 2 == 1 ? ' ' : 0;
    for (size_t i = 0; i < strlen(text); i++)
        p[side == PLAIN ? i : 2 * i + 1] = (uint8_t) text[i];
}

static void put_descriptor(uint8_t *p, unsigned side, const char *label, uint32_t total)
{
    p[0] = side == PLAIN ? 1 : 2;
    memcpy(p + 1, "CD001", 5);
    p[6] = 1;
    put_text(p + 8, 32, side, "");
    put_text(p + 40, 32, side, label);
    put32(p + 80, total);
    if (side == JOLIET)
        memcpy(p + 88, "%/E", 3);
    put16(p + 120, 1);
    put16(p + 124, 1);
    put16(p + 128, SECTOR);
    put32(p + 132, PATH_SIZE);
    uint32_t little = GUINT32_TO_LE(PATHS + 2 * side), big = GUINT32_TO_BE(PATHS + 2 * side + 1);
    memcpy(p + 140, &little, sizeof little);
    memcpy(p + 148, &big, sizeof big);
    (void) put_record(p + 156, FOLDERS + side, SECTOR, true, 1);
    put_text(p + 190, 813 - 190, side, "");
    memset(p + 813, '0', 4 * 17);
    for (size_t i = 0; i < 4; i++)
        p[813 + 17 * i + 16] = 0;
    p[881] = 1;
}

static void put_paths(uint8_t *little, uint8_t *big, uint32_t folder)
{
    uint32_t le = GUINT32_TO_LE(folder), be = GUINT32_TO_BE(folder);
    little[0] = big[0] = 1;
    memcpy(little + 2, &le, sizeof le);
    memcpy(big + 2, &be, sizeof be);
    little[6] = big[7] = 1;
}

static void put_folder(uint8_t *p, unsigned side, const IsoFile *files, size_t n)
{
    uint32_t sector = FILES;
    p += put_record(p, FOLDERS + side, SECTOR, true, 1);
    p[33] = 1;
    p += put_record(p, FOLDERS + side, SECTOR, true, 1);
    for (size_t i = 0; i < n; i++) {
        size_t length = put_name(p + 33, side, files[i].name, (unsigned) i);
        p += put_record(p, sector, (uint32_t) files[i].size, false, length);
        sector += sectors(files[i].size);
    }
}

static void put_all(uint8_t *image, const char *label, uint32_t total, const IsoFile *files, size_t n)
{
    for (unsigned side = 0; side < _SIDES; side++) {
        put_descriptor(image + (DESCRIPTORS + side) * SECTOR, side, label, total);
        put_paths(image + (PATHS + 2 * side) * SECTOR, image + (PATHS + 2 * side + 1) * SECTOR, FOLDERS + side);
        put_folder(image + (FOLDERS + side) * SECTOR, side, files, n);
    }
    memcpy(image + (DESCRIPTORS + _SIDES) * SECTOR, "\xff" "CD001\1", 7);
    uint8_t *at = image + FILES * SECTOR;
    for (size_t i = 0; i < n; i++) {
        if (files[i].size > 0)
            memcpy(at, files[i].data, files[i].size);
        at += (size_t) sectors(files[i].size) * SECTOR;
    }
}

int iso_write(const char *label, const IsoFile *files, size_t n)
{
    uint32_t total = FILES;
    char self[64];
    g_assert(n <= ISO_FILES_MAX && strlen(label) <= 16);
    for (size_t i = 0; i < n; i++) {
        if (files[i].size > ISO_FILE_SIZE_MAX)
            return -EFBIG;
        total += sectors(files[i].size);
    }
    size_t size = (size_t) total * SECTOR;
    fd_cleanup int fd = memfd_create("vmd-iso", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
        return -errno;
    uint8_t *image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (image == MAP_FAILED)
        return -errno;
    put_all(image, label, total, files, n);
    (void) munmap(image, size);
    (void) snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int again = open(self, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}
