/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guard's arguments: what vmd-guard is executed with (guard/guard.h), for a start. Called by launch.c only. */

#include "command.h"
#include "open.h"
#include "settings.h"

/* NULL-terminated; g_ptr_array_unref. `go_read_fd` -1: QEMU starts at once. */
GPtrArray *guard_argv(const Instance *instance, const Opened *opened, const Settings *settings, const Command *command, int go_read_fd);
