/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether the host has what a VM's memory is to be made of: huge pages that are free, and NUMA nodes. Asked before a start, since QEMU
 * would only say that it could not allocate memory. */

#include "settings.h"

bool host_memory_check(const Settings *settings, Error **ret_error);
