/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Trays: which CD drives of a VM that runs are open, as QEMU tells: a guest ejects a disc, or closes the tray, when it likes.
 *
 * Belongs to the Instance; made when the first one opens. */

#include "instance.h"

/* QEMU's DEVICE_TRAY_MOVED, with its data. */
void trays_moved(Instance *instance, const json_t *data);

/* Asks QEMU: for a vmd that was not there when that was told, and after a reset, which closes some without a word. */
void trays_find(Instance *instance);

/* The drive has gone. */
void trays_forget(Instance *instance, const char *name);

void trays_free(Trays *trays);

/* The names of the drives, "cd" of [Disk cd], in order; a container of the caller's, with g_free(). */
const char **trays_open(const Trays *trays);
