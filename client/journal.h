/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the journal has on a VM, printed by journalctl. */

#include "client.h"

/* The newest `lines`, or as --lines says. Returns an exit code. */
int journal_print(const Client *client, const char *name, const char *lines);
