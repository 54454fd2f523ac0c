/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM does with snapshots: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool check_snapshot(sd_bus_message *m, ChangeActions *ret, Error **ret_error);

bool method_create_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_revert_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_delete_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_get_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_list_snapshots(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
