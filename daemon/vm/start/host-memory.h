/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a VM's memory is made of. */

#include "build.h"
#include "settings.h"

/* Whether the host has it: huge pages that are free, and NUMA nodes. Asked before a start, since QEMU would only say that it could not allocate memory. */
bool host_memory_check(const Settings *settings, Error **ret_error);

/* A memfd for each of machine_memory_sizes(), as a new array that owns them; NULL and an Error. */
GArray *host_memory_open(const Settings *settings, const QemuBuild *build, Error **ret_error);
