/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unit names that systemd derives from paths (systemd.unit(5), "STRING ESCAPING FOR INCLUSION IN UNIT NAMES"). */

/* "/srv/my-disks" and ".mount": "srv-my\x2ddisks.mount". The path is absolute and normalised. The caller frees. */
char *unit_name_from_path(const char *path, const char *suffix);
