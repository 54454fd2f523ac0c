/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What settings ask of a QEMU build, and which package has it where the build that is there does not: a table, in which everything stands that
 * a VM cannot go without where its settings want it. What is only nice to have is asked for with qemu_build_has_device(). */

#include "build.h"

/* False, and an Error about `thing` that names the package to install, where the build has no such device ("virtio-blk-pci"). */
bool machine_needs_device(const QemuBuild *build, const char *type, const char *thing, Error **ret_error);

/* The same Error for what the caller has found to be missing: a device, or one of "SPICE", "VNC" and "D-Bus display". Always false. */
bool machine_lacks(const char *binary, bool x86, const char *what, const char *thing, Error **ret_error);
