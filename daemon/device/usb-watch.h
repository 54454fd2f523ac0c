/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UsbWatch: calls `changed` whenever a USB device has come or gone; by udev's word, so a user's vmd may open it by then. */

#include <systemd/sd-event.h>

typedef struct UsbWatch UsbWatch;

int usb_watch_new(sd_event *event, void (*changed)(void *userdata), void *userdata, UsbWatch **ret);
void usb_watch_free(UsbWatch *watch);
