/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sandbox: a transient service for a program that does a piece of work for vmd on what is hostile: a uid of its own, no capability, no file of the
 * host but those that are named, and its end when vmd ends. Used by worker.c and download.c. */

#include "service.h"

typedef struct SandboxSpec {
    const char *unit;
    const char *const *argv;
    const char *const *paths;          /* what it sees of the host, read-only, "-" in front of what may be missing; NULL-terminated */
    const ServiceProperty *properties; /* beside those that all have; ends with a row without a name */
    bool user;                         /* systemd of a user, which can shut it in but little */
} SandboxSpec;

/* As service_start(). */
ScopeJob *sandbox_start(Scopes *scopes, const SandboxSpec *spec, ScopeDone done, void *userdata, Error **ret_error);
