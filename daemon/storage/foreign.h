/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Foreign images: what a caller hands over, as a descriptor, to be made a volume of: any format that QEMU reads.
 *
 * Nothing is opened by what stands in it: an image that needs another file, as its backing file, its data or an extent, is refused, whatever
 * that file is. What it says otherwise is read by a Worker only. For threads: its file system may hang. Knows nothing of VMs. */

#include "image.h"

/* Takes a copy of the descriptor, which must be open for reading only. `format`: raw, qcow2, vmdk, vdi, vhdx or vpc; `name`
 * stands in errors. The size of the Image is that of the file. */
Image *foreign_open(int fd, const char *format, const char *name, Error **ret_error);

/* The same of a qcow2 image that is over others: `backing` (int) are these, from what it is over down to one that needs no other; what
 * stands in it as their names does not count. */
Image *foreign_open_chain(int fd, const GArray *backing, const char *name, Error **ret_error);

/* A name of the above, or NULL. */
const char *foreign_format(const char *format);
