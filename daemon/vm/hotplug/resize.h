/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Resize: a disk of a VM that runs gets another size, and its guest sees it. Called by pool/volume-work.c, which has asked whether that may be. */

#include "vm.h"

/* [Disk NAME]. Only growing is safe; who calls sees to that. */
bool vm_resize_disk(VM *vm, const char *name, uint64_t size, VMDone done, void *userdata, Error **ret_error);
