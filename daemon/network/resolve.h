/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Resolve: tells systemd-resolved, where it runs, that a network's domain is asked of its dnsmasq, so that the host finds guests by
 * name. What it makes of it goes with the link. */

#include "network.h"

/* Nothing is reported: it is not needed. */
void resolve_link(const Network *network);
/* Tells one that comes later of all networks. Of the system's vmd, at its start. */
void resolve_watch(Manager *manager);
