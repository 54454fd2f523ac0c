/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Volumes as people name them: POOL/VOLUME, or VOLUME alone for one in the pool "default". Those that return an exit code have said
 * what was wrong when it is not EXIT_DONE. */

#include "json.h"

#define VOLUME_DEFAULT_POOL "default"

/* The pool that is meant where none is named: of "image ..." that of images. */
const char *volume_pool(const Client *client);

/* New strings, the caller frees. `pool`: the one that is meant where none is named. */
int volume_split(const char *word, const char *pool, char **ret_pool, char **ret_name);

/* An empty call of a method of a pool's, whatever the verb is one of. Returns an exit code. */
int volume_new_call(Client *client, const char *pool, const char *method, sd_bus_message **ret);

/* What Pool.ListVolumes and Pool.GetVolume say. */
int volume_list(Client *client, const char *pool, json_t **ret);
int volume_get(Client *client, const char *pool, const char *name, json_t **ret);

/* Deletes those that are named, with a line for each that cannot be. `words` is NULL-terminated; `flags` as Pool.DeleteVolume has them. */
int volume_delete(Client *client, char **words, uint64_t flags);

/* What a guest sees of it; 0, in silence, where that cannot be found out. */
uint64_t volume_size(Client *client, const char *pool, const char *name);
