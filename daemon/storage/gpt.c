/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpt.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#define SECTOR 512U
#define ENTRIES_MAX 128U

/* As they stand on disk: the first three fields of a GUID have the other byte order. */
#if defined(__aarch64__)
static const uint8_t type_root[16] = {0x45, 0xb0, 0x21, 0xb9, 0xf0, 0x1d, 0xc3, 0x41, 0xaf, 0x44, 0x4c, 0x6f, 0x28, 0x0d, 0x3f, 0xae};
#else
static const uint8_t type_root[16] = {0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09};
#endif
static const uint8_t type_linux[16] = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

typedef struct __attribute__((packed)) Header {
    char signature[8];
    uint8_t ignored[64];
    uint64_t entries_at; /* sectors, as all of them */
    uint32_t n_entries, entry_size;
} Header;

typedef struct __attribute__((packed)) Entry {
    uint8_t type[16], id[16];
    uint64_t first, last;
} Entry;

static int read_at(int fd, void *to, size_t size, uint64_t at)
{
    ssize_t n = pread(fd, to, size, (off_t) at);
    return n < 0 ? -errno : (size_t) n < size ? -ENODATA : 0;
}

/* Whether it lies within the file. */
static bool take_part(const Entry *entry, uint64_t file_size, GptPart *ret)
{
    uint64_t first = le64toh(entry->first), last = le64toh(entry->last), sectors = file_size / SECTOR;
    if (first == 0 || first > last || last >= sectors)
        return false;
    *ret = (GptPart){.offset = first * SECTOR, .size = (last - first + 1) * SECTOR};
    return true;
}

int gpt_find_root(int fd, GptPart *ret)
{
    Header header;
    struct stat st;
    GptPart found = {0};
    unsigned n_linux = 0;

    if (fstat(fd, &st) < 0)
        return -errno;
    int r = read_at(fd, &header, sizeof header, SECTOR);
    if (r == -ENODATA || (r >= 0 && memcmp(header.signature, "EFI PART", 8) != 0)) {
        *ret = (GptPart){0};
        return 0;
    }
    uint64_t at = r >= 0 ? le64toh(header.entries_at) : 0, file_size = (uint64_t) st.st_size;
    uint32_t step = r >= 0 ? le32toh(header.entry_size) : 0, n = r >= 0 ? MIN(le32toh(header.n_entries), ENTRIES_MAX) : 0;
    if (r >= 0 && (step < sizeof(Entry) || step > 4096 || at > file_size / SECTOR))
        return -ENODATA;
    for (uint32_t i = 0; r >= 0 && i < n; i++) {
        Entry entry;
        r = read_at(fd, &entry, sizeof entry, at * SECTOR + (uint64_t) i * step);
        if (r >= 0 && memcmp(entry.type, type_root, 16) == 0 && take_part(&entry, file_size, ret))
            return 0;
        if (r >= 0 && memcmp(entry.type, type_linux, 16) == 0 && take_part(&entry, file_size, &found))
            n_linux++;
    }
    if (r < 0 || n_linux != 1)
        return r < 0 ? r : -ENODATA;
    *ret = found;
    return 0;
}
