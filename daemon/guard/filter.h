/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Filter: the system calls that the guard's loop needs, and no other. A call outside the list fails with
 * EPERM rather than kill the guard, since the guard's death is QEMU's; one of a foreign architecture kills.
 */

/* Returns -1 with errno. Needs no_new_privs. Does nothing in a build for a sanitizer, which has needs of its
 * own. */
int filter_install(void);
