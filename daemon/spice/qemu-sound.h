/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuSound: what a QEMU plays and records, by its -audiodev dbus (QEMU's docs/interop/dbus-display), told to a Sound.
 *
 * QEMU mixes and converts: there is one stream each way, of the form that machine-display.c has asked for; one of another form is not heard. While its guest
 * records QEMU waits for each answer, with its whole main loop, so it gets it at once. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "sound.h"

typedef struct QemuSound QemuSound;

/* `bus`: QEMU's (qemu_display_bus()), borrowed, as `sound` is. NULL: never. */
QemuSound *qemu_sound_new(sd_event *event, sd_bus *bus, Sound *sound);
void qemu_sound_free(QemuSound *qemu_sound);
