/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Screenshot: what a VM shows, as a picture in memory. QEMU writes it; but what a graphics processor of the host's draws (GL=) is not in its
 * memory, so there it is looked at as a viewer does. */

#include "vm.h"

/* Either `fd` (borrowed; a sealed PNG, at its beginning) or an Error. */
typedef void (*ScreenshotDone)(int fd, const Error *error, void *userdata);

/* `head`: 0 is the first. Errors: NotRunning, Busy, Unsupported (no display, no such head, or a QEMU without PNG; with GL= any head but the first, or no VNC), QemuFailed. */
bool vm_screenshot(VM *vm, uint32_t head, ScreenshotDone done, void *userdata, Error **ret_error);
