/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM does with displays: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool method_open_display(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_create_display_password(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_screenshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_screenshot_head(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_disconnect(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
