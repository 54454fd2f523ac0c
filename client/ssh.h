/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Commands that run on the host of -H, over ssh: for what does not travel over its bus, such as descriptors and the journal. */

#include <glib.h>

#include "connect.h"

/* ssh with `options` (until a NULL), that host, with user and port as sd-bus takes them, and `n` words for the shell there, which are quoted
 * here; words that are NULL are left out. Ends with a NULL; the caller's. NULL, and reported: -H names a container there, into which ssh does
 * not lead. */
GPtrArray *ssh_command(const Client *client, const char *const *options, const char *const *words, size_t n);
