/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of machine_command() share. */

#include "machine.h"

#define DEFAULT "default"

bool machine_is_x86(const QemuBuild *build);

/* Where a key was set, or DEFAULT. */
const char *machine_origin(const MachineParts *parts, const char *section, const char *key);

/* The same of a machine that is to be, and that this QEMU has such ports. */
bool machine_is_pcie(const MachineParts *parts);

/* machine-disk.c, machine-interface.c */
bool machine_add_disks(Command *command, const MachineParts *parts, Error **ret_error);
bool machine_add_interfaces(Command *command, const MachineParts *parts, Error **ret_error);
