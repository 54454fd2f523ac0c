/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Figures: what was counted, by name, on its way from where it is read to the bus.
 *
 * A figure belongs to a group ("memory"), or to one thing of a group ("root" of "disks"). Those of one group are added one after
 * the other. A list that is full takes no more: what names them may come from a QEMU that means ill.
 * Belongs to whoever made it. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

#define FIGURES_MAX 4096U

typedef struct Figures Figures;

Figures *figures_new(void);
void figures_free(Figures *figures);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Figures, figures_free)

/* `of` may be NULL; a group has things in each of its figures, or in none. Copies the names. */
void figures_add(Figures *figures, const char *group, const char *of, const char *name, uint64_t value);

/* How much one of them is; false where it is not there. */
bool figures_get(const Figures *figures, const char *group, const char *of, const char *name, uint64_t *ret);

/* Appends an entry {sv} for each group, to an array that is open: a{st}, or a{sa{st}} of those that have things. */
int figures_append(const Figures *figures, sd_bus_message *m);
