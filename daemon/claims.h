/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Claims: who has an image open, so that nobody else writes it meanwhile: VMs that run, and work on volumes. */

#include "image.h"
#include "instance.h"

/* Adds the images of the chain to `images` (ImageIdentity), which belong to `holder`: a VM or a VolumeWork. ERROR_IN_USE: another
 * has one of them and one of the two writes, or somebody reads what is to be written. */
bool claim_images(const Manager *manager, const void *holder, GArray *images, const Image *image, Error **ret_error);

/* The same for the disk NAME of a VM that has an instance: all of its images or none. And the reverse. */
bool claim_disk(VM *vm, const char *name, const Image *image, Error **ret_error);
void claim_release_disk(VM *vm, const char *name);

/* All that disk NAME has (ImageIdentity; the caller's, who still holds it), and to have that and nothing else again. */
GArray *claim_copy_disk(const VM *vm, const char *name);
void claim_reset_disk(VM *vm, const char *name, const GArray *images);

/* The VM that writes the image, and *ret_disk: as what, borrowed; NULL: none. */
VM *claim_find_disk(const Manager *manager, const Image *image, const char **ret_disk);

/* Who has the file open, "VM \"web\"", for writing or at all, other than `but` (NULL: anybody); a new string, or NULL. */
char *claim_holder(const Manager *manager, const VM *but, uint64_t dev, uint64_t inode);
