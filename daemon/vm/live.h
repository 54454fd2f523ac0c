/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Live: settings that count at once while a VM runs (schema: `live`), carried out. Called by vm.c when it has read the file. */

#include "vm.h"

/* What differs from what runs is changed; what cannot be is said in the journal, and stays as it is. */
void vm_apply_live(VM *vm, const Settings *settings);
