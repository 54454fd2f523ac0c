/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Iso: a small CD image (ISO 9660 with Joliet names) of a few files in one folder, in memory.
 *
 * Written, never read: nothing hostile is parsed here. */

#include <stddef.h>

typedef struct IsoFile {
    const char *name; /* ASCII, at most 64 characters */
    const void *data;
    size_t size;
} IsoFile;

#define ISO_FILES_MAX 8U
#define ISO_FILE_SIZE_MAX (16U * 1024 * 1024)

/* `label`: of the disk, at most 16 capital letters. A memfd, open for reading only, or negative errno. */
int iso_write(const char *label, const IsoFile *files, size_t n);
