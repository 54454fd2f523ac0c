/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Watch: until what is known of one VM is as it is wanted. */

#include <jansson.h>

#include "client.h"

/* Its properties. */
typedef bool (*WatchIsThere)(const json_t *vm);

/* Asks for the VM's properties now and after each change, until `is_there` says so, the VM is down, or it is `deadline` (CLOCK_MONOTONIC, µs,
 * USEC_INFINITY: never). They are in *ret in each case but that of an error. Returns an exit code. */
int watch_until(Client *client, const char *name, WatchIsThere is_there, uint64_t deadline, json_t **ret);

/* Whether it runs, or is about to. */
bool watch_is_up(const json_t *vm);

/* Waits for each of them for what `what` says, "agent" or "ip"; one that goes down before is an error. */
int watch_for(Client *client, char **names, const char *what);
