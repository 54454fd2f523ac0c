/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What travels on the bus as JSON: for --json, and as the dictionary in which verbs look things up.
 *
 * Arrays of dictionary entries are objects, structs and other arrays are arrays, a variant is what is in it.
 * A number that JSON's signed 64 bits cannot hold ("infinity") is null. */

#include <jansson.h>

#include "client.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* The next complete value of the message, or NULL with a negative errno in *ret_r. */
json_t *json_from_message(sd_bus_message *m, int *ret_r);

/* Prints as --json says. */
void json_print(const Client *client, const json_t *value);

/* The members of an object, with "" or 0 or false where they are not there. */
const char *json_get_string(const json_t *object, const char *key);
uint64_t json_get_number(const json_t *object, const char *key);
bool json_get_bool(const json_t *object, const char *key);

/* All properties of a VM (or with name NULL of the manager) as an object. */
int json_get_properties(Client *client, const char *name, const char *interface, json_t **ret);
