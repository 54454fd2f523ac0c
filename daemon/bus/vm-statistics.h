/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What VMs that run have used, on the bus: rows of the tables in vm-dbus.c and manager-dbus.c, as method.h has them. */

#include "method.h"

bool method_get_statistics(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_get_all_statistics(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
