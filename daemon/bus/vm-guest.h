/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM has a guest do by its agent: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool check_execute(sd_bus_message *m, ChangeActions *ret, Error **ret_error);
bool check_guest_keys(sd_bus_message *m, ChangeActions *ret, Error **ret_error);

bool method_execute(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_get_guest_info(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_freeze_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_thaw_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_trim_guest(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_set_guest_password(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_add_guest_keys(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
