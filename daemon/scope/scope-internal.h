/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this folder share: a call to systemd that begins a job, and the wait for its end. */

#include "scope.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

sd_bus *scopes_bus(const Scopes *scopes);

/* `m` returns a job's path. `gone_is_done`: NoSuchUnit is success. */
ScopeJob *scope_job_call(Scopes *scopes, const char *unit, sd_bus_message *m, bool gone_is_done, ScopeDone done, void *userdata,
    Error **ret_error);
