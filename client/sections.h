/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sections: the names of those that a VM's or network's settings have. */

#include "client.h"

/* Returns an exit code; *ret is NULL-terminated, the caller frees it with g_strfreev. */
int sections_get(Client *client, const char *name, char ***ret);
