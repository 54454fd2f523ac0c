/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lender: usbredirect(1), which lends one USB device of this machine and speaks usbredir.
 *
 * It can be handed no socket, and speaks TCP alone: so vmctl listens at a port of the loopback address that the kernel chooses, until usbredirect has
 * connected. Whoever else comes there is turned away: the kernel says which socket the other end is, and whether usbredirect has that.
 *
 * The device is the host's again when usbredirect has ended, which it does at the end of its connection, however that comes about. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "usb.h"

typedef struct Lender Lender;

/* Whether usbredirect is installed and may open the device; else it has said so. */
bool lender_check(const UsbDevice *device);

/* `connected`: once, with a connection, the callee's. `ended`: once, when the program has ended, or the device was pulled out, which usbredirect itself
 * (0.13) does not see unless something is under way. SIGCHLD is blocked. NULL: it has said why. */
Lender *lender_new(sd_event *event, const UsbDevice *device, void (*connected)(int fd, void *userdata), void (*ended)(void *userdata), void *userdata);

/* Waits until the program has ended, which it does when its connection is closed; a few seconds at most. */
void lender_free(Lender *lender);
