/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Inventory: all QEMUs that VMs could run on: the host's, those of trees that VMs name, and of those in /var/lib/machines; and what each can do.
 *
 * What is not known yet is asked, one after the other. However many want to know at a time, it is done once. An image is mounted for it
 * only where a VM names it and nothing is known of it; then its default binary alone is looked at. */

#include "manager.h"

typedef struct Inventory Inventory;

typedef struct InventoryItem {
    char *root; /* of its tree; NULL: the host */
    char *path; /* of the binary, in the tree; NULL: there is none, or the tree cannot be opened */
    QemuBuild *build;
    char *problem; /* why there is no build, else NULL */
} InventoryItem;

/* `items` (InventoryItem), borrowed: the host's first, then by tree; or an error. */
typedef void (*InventoryReply)(const GPtrArray *items, const Error *error, void *userdata);

/* `reply` comes once, from the loop. False: it does not. */
bool inventory_take(Manager *manager, InventoryReply reply, void *userdata, Error **ret_error);
void inventory_free(Inventory *inventory); /* its replies do not come any more; NULL is fine */
