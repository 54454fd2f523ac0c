/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guard's arguments: what vmd-guard is executed with (guard/guard.h), for a start. Called by start.c and launch.c only; but for this, which helpers have, too. */

#include "command.h"
#include "open.h"
#include "settings.h"

/* "tls-ca", ...: what has a descriptor each, in the order of machine_tls_names. */
extern const char *const guard_tls_options[MACHINE_TLS_MAX];

/* The nodes that QEMU opens by name, each of which its scope has to allow: "/dev/vfio/12", "/dev/dri/renderD128"; NULL: none. The caller frees with
 * g_strfreev(). */
char **guard_devices(const MachineParts *parts);

/* NULL-terminated; g_ptr_array_unref. `go_read_fd` -1: QEMU starts at once. */
GPtrArray *guard_argv(const Instance *instance, const Opened *opened, const Settings *settings, const Command *command, int go_read_fd);
