/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptor: a JSON file by which a package tells what it has for QEMU: firmware, programs that speak vhost-user.
 *
 * They are in folders of which a later one's file takes the place of an earlier one's of the same name, an empty one (a link to
 * /dev/null) too, and what is wanted is found in the first that has it, by their names (QEMU's docs/interop/firmware.json and
 * vhost-user.json). `root_fd`: of which tree (tree.h); -1: the host's own. Called in a Task: files are read. */

#include <jansson.h>
#include <stdbool.h>

#include <glib.h>

/* Of this kind, "firmware"; with those of the user. g_strfreev. */
char **descriptor_folders(const char *kind, bool user);

/* The files' paths in order (char *). */
GPtrArray *descriptor_list(int root_fd, const char *const *folders);

/* An object, a new reference; NULL: it says nothing, or is none, which the journal is told. */
json_t *descriptor_load(int root_fd, const char *path);
