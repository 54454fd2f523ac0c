/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is who in a user namespace: the files of /proc that say so take one write each. Used by jail.c and share-tree.c. */

/* `name` in the folder `dir`, or a path. Returns -1 with errno. */
int id_map_write(int dir, const char *name, const char *text);
