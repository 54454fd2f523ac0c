/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Firewalld: where it runs, a network's bridge is in one of its zones, since it rejects what comes from a link that it does not know.
 *
 * The zones vmd and vmd-host-access are shipped with vmd (units/). firewalld is never started for this, and nobody waits for it: one
 * that hangs is told of in the journal, and guests have no network until it goes on. What it knows of a bridge is runtime
 * state, which a reload forgets and a restart, too: both are followed. */

#include "network.h"

/* Of the system's vmd, at its start. */
void firewalld_watch(Manager *manager);
/* The bridge of a network that starts, or runs since before this vmd, and its end. */
void firewalld_add(const Network *network);
void firewalld_remove(const Network *network);
