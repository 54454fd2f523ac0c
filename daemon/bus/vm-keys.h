/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM does with keys and the mouse: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool method_send_keys(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_send_buttons(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_move_pointer(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_drag_pointer(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_type_text(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
