/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Counters: what a QEMU says of its disks, its balloon and its virtual CPUs, made figures.
 *
 * Answers are hostile: what has not the shape that it should have is left out, names are checked, and there are so many at most. Knows
 * nothing of VMs or D-Bus. */

#include <jansson.h>

#include "figures.h"

/* "disks", of what query-blockstats has answered: those that vmd has given it (machine.h), by their names. */
void counters_read_disks(const json_t *answer, Figures *figures);

/* "balloon": of query-balloon. */
void counters_read_balloon(const json_t *answer, Figures *figures);

/* "plugged": of query-memory-devices, what is given to the guest beside the memory that it was started with. */
void counters_read_plugged(const json_t *answer, Figures *figures);

/* "guest": what the guest's balloon driver said of its memory when it was last asked; of the property "guest-stats". */
void counters_read_guest(const json_t *answer, Figures *figures);

/* "exits": why virtual CPUs left the guest, all of them together; of query-stats with these arguments, a new reference. KVM alone counts. */
json_t *counters_exits_arguments(void);
void counters_read_exits(const json_t *answer, Figures *figures);
