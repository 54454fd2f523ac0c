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

/* Calls a method without arguments of an object, or (with name NULL) of the manager. Returns an exit code; the caller drops *ret. */
int json_call(Client *client, const char *name, const char *interface, const char *method, json_t **ret);

/* Calls a method of the manager, or (with a name) of an object of this run's kind, that returns an array of
 * structs. */
int json_call_array(Client *client, const char *name, const char *method, json_t **ret);

/* Calls a method of an object that takes the name of something in it and returns what is known of that. */
int json_call_object(Client *client, const char *name, const char *interface, const char *method, const char *what, json_t **ret);

/* An array of arrays as an array of objects whose members are called `keys` (NULL-terminated). */
json_t *json_name_members(const json_t *rows, const char *const *keys);

/* Prints as --json says. */
void json_print(const Client *client, const json_t *value);

/* The members of an object, with "" or 0 or false where they are not there. */
const char *json_get_string(const json_t *object, const char *key);
uint64_t json_get_number(const json_t *object, const char *key);
bool json_get_bool(const json_t *object, const char *key);

/* All properties of what `name` is (kind.h), or with name NULL of the manager, as an object. */
int json_get_properties(Client *client, const char *name, json_t **ret);

/* After a change of settings: says that what runs goes on without it, where that is so. */
void note_restart(Client *client, const char *name);
