/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Restore: a VM of a backup: its disks as new volumes, and its settings, which name these. Used by verb-backup.c. */

#include "backup-set.h"

/* Makes the VM `name`. All or nothing: what was made is deleted where something fails. Returns an exit code. */
int restore(Client *client, const char *dir, const GPtrArray *set, const Backup *backup, const char *name);
