/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.Manager does with networks: rows of its table in manager-dbus.c, as method.h has them. */

#include "method.h"

bool check_network(sd_bus_message *m, ChangeActions *ret, Error **ret_error);
bool check_new_network(sd_bus_message *m, ChangeActions *ret, Error **ret_error);

bool method_create_network(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_get_network(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_list_networks(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_diagnose(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
