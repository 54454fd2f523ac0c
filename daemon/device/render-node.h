/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* RenderNode: what programs draw by with a graphics processor of the host's, /dev/dri/renderD128 and so on.
 *
 * Any number of programs have one at the same time, and none sees by it what others draw or what is on a screen. Nothing is kept or
 * taken: it is only found out which there is that the caller may use. A driver may take its time to wake its device, so this is for
 * threads. Knows no VMs.
 *
 * `root` is "", or a folder with a fake dev/ in it for tests. */

#include "error.h"

/* The name, such as "/dev/dri/renderD128", of the node that `path` leads to; NULL: of the first that the caller, with the rights that it
 * has, can open. The name is made of the kernel's number, so no link and no folder of anybody's is in it. The caller frees. NULL, and
 * ERROR_UNSUPPORTED: the host has none; ERROR_INVALID_SETTINGS: that is none; ERROR_FAILED: it cannot be opened. */
char *render_node_find(const char *root, const char *path, Error **ret_error);
