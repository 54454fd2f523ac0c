/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuDisplay: what a QEMU shows and hears, by its -display dbus,p2p=yes (QEMU's docs/interop/dbus-display).
 *
 * QEMU sends what it draws without ever waiting for whoever looks, so whoever looks must never stop reading. */

#include "display-source.h"

#include <systemd/sd-bus.h>

/* Both ends are authenticated later. */
DisplaySource *qemu_display_new(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata);

/* By which it speaks, for who has more to ask QEMU (qemu-sound.h); goes with it. */
sd_bus *qemu_display_bus(const DisplaySource *source);
