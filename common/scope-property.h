/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Resource-control settings in systemd's file spelling (systemd.resource-control(5)) as the properties
 * that StartTransientUnit and SetUnitProperties take: "MemoryMax=2G" becomes ("MemoryMax", t 2147483648),
 * "CPUQuota=50%" ("CPUQuotaPerSecUSec", t 500000), "AllowedCPUs=0-3" ("AllowedCPUs", ay ...).
 * libsystemd has no public function for this; the table in scope-property.c has a row per property. */

#include <systemd/sd-bus.h>

#include "error.h"

/* Whether a scope has such a property at all; an Error names the nearest one. */
bool scope_property_check_name(const char *key, Error **ret_error);

/* Whether KEY=VALUE is one that a scope can take; an Error names what is allowed. */
bool scope_property_check(const char *key, const char *value, Error **ret_error);

/* Appends one (sv), or several where systemd has several, to an open a(sv). `values`: the lines in order,
 * for those that may repeat (DeviceAllow=, IPAddressAllow=, ...), where an empty line, or none, resets the
 * list; of all others the last one counts. NULL-terminated. Nothing is appended when a value is bad. */
bool scope_property_append(sd_bus_message *m, const char *key, const char *const *values, Error **ret_error);

/* Whether the property is a list to which each line adds; of the others only one line counts. */
bool scope_property_repeats(const char *key);

/* All property names in systemd's file spelling, NULL-terminated, static: for completions and the manual. */
const char *const *scope_property_names(void);
