/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.Manager says of QEMUs: rows of its table in manager-dbus.c, as method.h has them. */

#include "method.h"

bool method_list_qemus(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
