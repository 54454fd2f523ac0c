/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A JSON file in which vmd remembers what it could also find out again.
 *
 * So whatever is wrong with it is the same as its absence: no regular file, another's, too long, no JSON
 * object. Written as a whole or not at all. */

#include <jansson.h>
#include <stddef.h>

/* A new reference; NULL when there is none that can be trusted. */
json_t *json_file_load(const char *path, size_t size_max);

/* 0644. Returns a negative errno. Creates the folder above it (0755) when it is missing. */
int json_file_save(const char *path, const json_t *json);
