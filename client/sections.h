/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sections of a VM's or network's settings. */

#include "json.h"

/* All settings: an object of sections, each an object of keys. Returns an exit code; the caller drops *ret. */
int sections_get_settings(Client *client, const char *name, json_t **ret);

/* Whether it is a disk that the VM writes to, with a Source=. */
bool sections_is_written_disk(const char *section, const json_t *keys);

/* The names alone. Returns an exit code; *ret is NULL-terminated, the caller frees it with g_strfreev. */
int sections_get(Client *client, const char *name, char ***ret);
