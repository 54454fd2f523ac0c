/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to the bus, and what is said when something on it fails. Functions that return an exit code
 * have said what was wrong when it is not EXIT_DONE. */

#include "client.h"
#include "error.h"

/* Opens Client.bus as -H, -M and --user say. */
int client_connect(Client *client);

/* A call of org.vmd1 on the object `name` of the kind that this run is about (kind.h), or (NULL) on the
 * manager. `ret_reply` may be NULL. */
int client_call(Client *client, const char *name, const char *interface, const char *method,
        sd_bus_message **ret_reply, const char *types, ...);

/* The same with a message that is made already; takes no reference. */
int client_send(Client *client, const char *name, sd_bus_message *message, sd_bus_message **ret_reply);

int client_new_call(Client *client, const char *name, const char *interface, const char *method,
        sd_bus_message **ret_message);

/* GetAll: leaves the reply at its a{sv}. */
int client_get_all(Client *client, const char *name, const char *interface, sd_bus_message **ret_reply);

/* How long a call that waits for a guest, a password or a disk may take: for ever. */
#define CALL_TIMEOUT UINT64_MAX
