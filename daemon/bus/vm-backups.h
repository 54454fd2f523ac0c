/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What org.vmd1.VM does with backups: rows of its table in vm-dbus.c, as method.h has them. */

#include "method.h"

bool method_create_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_open_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_import_nvram(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_close_backup(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
bool method_restore_tpm(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);
