/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Services: transient units that vmd has systemd run, such as a network's dnsmasq. They are not vmd's children, have the sandbox
 * that their properties say, and outlive vmd. Asynchronous throughout; knows nothing of networks. */

#include "scope.h"

typedef struct ServiceProperty {
    const char *name;
    /* As sd-bus has it: 's', 'b', 't', 'i', 'u', 'h'; 'a': strings; 'F': a filter, (bas), with `number` whether the words are what is
     * let through; 'B': bind mounts, each onto itself, and with "-" in front where it may be missing; 'T': empty, read-only file systems;
     * 'X': a signal that is no failure. */
    char type;
    const char *text;
    uint64_t number;
    const char *const *words;  /* NULL-terminated */
} ServiceProperty;

typedef struct ServiceSpec {
    const char *unit;          /* "vmnet-default.service" */
    const char *const *argv;   /* absolute path first; NULL: a unit that runs no program, such as a mount */
    const ServiceProperty *properties; /* ends with a row without a name */
} ServiceSpec;

/* `done` as for scope_start(): NULL when the service has started, as its Type= understands it. */
ScopeJob *service_start(Scopes *scopes, const ServiceSpec *spec, ScopeDone done, void *userdata, Error **ret_error);

/* One that is not there counts as stopped. */
ScopeJob *service_stop(Scopes *scopes, const char *unit, ScopeDone done, void *userdata, Error **ret_error);

/* Stops it; nothing is reported. */
void service_end(Scopes *scopes, const char *unit);

/* Sends a signal to its main process. Nothing is reported. */
void service_signal(Scopes *scopes, const char *unit, int signal);
