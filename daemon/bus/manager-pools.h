/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.Manager does with pools: rows of its table in manager-dbus.c, as method.h has them. */

#include "method.h"

bool check_pool(sd_bus_message *m, ChangeActions *ret, Error **ret_error);
bool check_new_pool(sd_bus_message *m, ChangeActions *ret, Error **ret_error);

bool method_create_pool(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_get_pool(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_list_pools(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
