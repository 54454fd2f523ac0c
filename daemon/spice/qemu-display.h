/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuDisplay: what a QEMU shows and hears, by its -display dbus,p2p=yes (QEMU's docs/interop/dbus-display).
 *
 * QEMU sends what it draws without ever waiting for whoever looks, so whoever looks must never stop reading. And it waits itself, with its whole main
 * loop, while a listener says hello: nothing is done between the call and the hello. */

#include "display-source.h"

/* Both ends are authenticated later. */
DisplaySource *qemu_display_new(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata);
