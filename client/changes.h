/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes: the settings that a command line of create, run or set asks for, as sections and keys of the
 * schema of what it is about (kind.h).
 *
 * --cpus=2 and -p 'VM.CPUs=2' come to the same. Values stay strings in the file's spelling: the daemon
 * checks them, as for any client. */

#include "client.h"

typedef struct Changes Changes;

/* Reads the options. `taken`: sections that are there already (NULL-terminated, may be NULL), so that
 * --disk= adds one with a name of its own. NULL when it has said what is wrong. */
Changes *changes_new(const Client *client, const char *const *taken);
void changes_free(Changes *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Changes, changes_free)

bool changes_is_empty(const Changes *changes);

/* Whether all of them are of the kind that counts at once (schema.h: live). */
bool changes_are_live(const Changes *changes);

/* Whether an option makes a section with a name of its own. */
bool changes_add_devices(const Client *client);

/* How many sections they are about; the name of the first. */
unsigned changes_count(const Changes *changes);
const char *changes_first(const Changes *changes);

/* Appends the first section alone: its name, and its a{sv}. Returns a negative errno. */
int changes_append_section(const Changes *changes, sd_bus_message *m);

/* Appends the a{sa{sv}}. Returns a negative errno. */
int changes_append(const Changes *changes, sd_bus_message *m);
