/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* MergeRecord: which layer the QEMU of a VM that runs is merging, for the next vmd. A file in the instance's folder, `merge`, since block
 * nodes mean something only as long as that QEMU lives. Used by this room only. */

#include "instance.h"

typedef struct MergeRecord {
    unsigned snapshot; /* 0: none */
    char *section;
    char *top, *base;  /* block nodes of what is over the layer, and of the layer */
    uint64_t top_dev, top_inode; /* which file the former is */
    bool paused;       /* by vmd: the guest is to go on */
} MergeRecord;

/* All zero where there is none. */
void merge_record_read(const VM *vm, MergeRecord *ret);
bool merge_record_write(const VM *vm, const MergeRecord *record, Error **ret_error);
void merge_record_forget(const VM *vm);
void merge_record_clear(MergeRecord *record);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MergeRecord, merge_record_clear)
