/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.OpenTap: a port on a network for whoever called. A handler as method.h has them. */

#include "method.h"

bool method_open_tap(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
