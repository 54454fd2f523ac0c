/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* HotplugNodes: the block nodes and descriptor sets of one [Disk NAME] in a QEMU that runs, as steps of a Script.
 *
 * Nothing of them is remembered: nodes are found by their names (qemu/blockdev.h, and those of overlays that snapshots have put over
 * them), and sets by what these nodes have open. So it makes no difference which vmd made them, or whether they were there from the
 * start. A medium that comes into a drive has nodes with a number, "cd-s2-node0" as an overlay's, so that two media can be open at once.
 *
 * Part of what a kind of device owns, and to be cleared with it. Called by hotplug-disk.c and hotplug-medium.c only. */

#include "hotplug-kind.h"
#include "machine.h"
#include "script.h"

#define HOTPLUG_SCRIPT_ID "vmd-hotplug"
#define HOTPLUG_OPEN_USEC (60 * G_USEC_PER_SEC)

typedef struct HotplugNodes {
    Hotplug *hotplug;
    Script *script;          /* that has its steps, borrowed */
    const MachineDisk *disk; /* what is added */
    unsigned number;         /* of what is added; 0: none */
    char *inserted;          /* the node that the device has; NULL: none, or not asked for */
    bool found;
    int only, keep;          /* of what is removed: nodes with this number alone, or all but those; -1: all */
    GArray *sets, *kept;     /* unsigned: those of nodes that go, and of all others */
} HotplugNodes;

void hotplug_nodes_init(HotplugNodes *nodes, Hotplug *hotplug);
void hotplug_nodes_clear(HotplugNodes *nodes);

/* Looks which node the device has, and chooses a number that no node has. */
void hotplug_nodes_find(HotplugNodes *nodes, Script *script);
/* Those of nodes->disk and all that is behind it, which may be nothing. */
void hotplug_nodes_add(HotplugNodes *nodes, Script *script);
void hotplug_nodes_remove(HotplugNodes *nodes, Script *script);

/* "cd-s2-node0", the node on top of what is added; the caller frees. */
char *hotplug_nodes_top(const HotplugNodes *nodes);
