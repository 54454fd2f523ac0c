/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kinds of value that resource-control properties have, and how each is spelled and sent.
 *
 * A kind appends the content of the variant for one line of a file; with a NULL message it only checks.
 * A list kind is called between the brackets of its array, once for the line; without a call the array is
 * empty, which resets the property. Returns 0 or a negative errno: -EINVAL for a bad spelling, -ERANGE
 * for a value that is out of range, all else from sd-bus. */

#include <stdint.h>
#include <systemd/sd-bus.h>

typedef struct ScopeProperty ScopeProperty;

typedef struct ScopePropertyKind {
    const char *signature; /* of the variant; "a..." is a list, to which each line adds */
    const char *allowed;   /* "Allowed is ...", for errors */
    int (*append)(const ScopeProperty *p, sd_bus_message *m, const char *value);
} ScopePropertyKind;

struct ScopeProperty {
    const char *name; /* in a unit file */
    const ScopePropertyKind *kind;
    const char *dbus;                 /* NULL: the same name */
    const ScopePropertyKind *percent; /* "50%" goes as NAMEScale of this kind */
    const char *words;                /* of the kind, "auto|kill" */
    uint64_t min, max;                /* of a number */
};

extern const ScopePropertyKind scope_kind_bool, scope_kind_weight, scope_kind_memory, scope_kind_number,
        scope_kind_quota, scope_kind_duration, scope_kind_scale, scope_kind_word, scope_kind_cpus,
        scope_kind_device_weight, scope_kind_device_bytes, scope_kind_device_number,
        scope_kind_device_latency, scope_kind_addresses, scope_kind_bind_rules, scope_kind_interfaces,
        scope_kind_devices, scope_kind_paths, scope_kind_programs, scope_kind_controllers;

/* In hundredths of a percent; "12.5%". -EINVAL when it has no "%". */
int parse_permyriad(const char *s, uint64_t *ret);
