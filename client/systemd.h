/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.freedesktop.systemd1, on the same bus as vmd: unit files, units and their processes. */

#include <jansson.h>

#include "client.h"

/* "enabled", "disabled", ...; "" when systemd does not say. The caller frees. */
char *systemd_unit_file_state(Client *client, const char *unit);

/* Properties of a unit that is loaded, of "Scope", "Service" or "Unit"; NULL when there are none. */
json_t *systemd_get_unit(Client *client, const char *unit, const char *interface);

/* Prints the unit's control group and processes as systemctl status does, with `label` before it. */
void systemd_print_processes(
        Client *client, const char *unit, const char *group, const char *label, size_t columns);

/* Calls a method of the manager; says what is wrong. Returns an exit code. */
int systemd_call(Client *client, const char *method, sd_bus_message **ret_reply, const char *types, ...);

/* StartUnit or StopUnit for each, and waits for their jobs. Returns an exit code. */
int systemd_run_jobs(Client *client, const char *method, char **units);
