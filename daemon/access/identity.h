/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Identity: the users that VMs belong to: names for uids, and their rights over files.
 *
 * Names are those of /etc/passwd, read as it is: the name services of a network may take minutes to answer, and the
 * loop does not wait. A user that only those know is named by number in Owner=. */

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

#define UID_NOBODY_KNOWN ((uid_t) -1) /* what no user has */

/* "alice" or "1000"; false when /etc/passwd has no such name. */
bool identity_find(const char *name, uid_t *ret);

/* The name, or the number where there is none; a new string. */
char *identity_name(uid_t uid);

/* Gives this thread, and no other, that user's rights over files and none of root's, for good: group and groups, the file system
 * uid, no capability in effect. May wait for name services. For threads that end when they have opened what they should.
 * Signals and ptrace still see the daemon's own uid, so the user cannot reach into it. Negative errno: nothing may be opened. */
int identity_assume(uid_t uid);

/* The user's group, and all groups (gid_t). May wait for name services. Negative errno; -ESRCH: there is no such user. */
int identity_groups(uid_t uid, gid_t *ret_gid, GArray **ret_groups);

/* Lets what this thread makes belong to that user, and count for their quota; the thread keeps root's rights to folders. For threads
 * that make a file where the user may not. Negative errno. */
int identity_make_for(uid_t uid);
