/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM does with USB devices that callers lend: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool method_open_usb_redirection(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_close_usb_redirection(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
