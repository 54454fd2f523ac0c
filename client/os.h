/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* create --os: the settings that an operating system wants, written out like any others, as if they had been given before all that was. The file says
 * all of it: nothing remembers which system it was. */

#include "client.h"

/* Adds them; `texts` gets values of options, which live as long as it. *ret_volume, which the caller frees, is a disk that was made where none was named, for
 * image_remove_disk(). Returns an exit code; does nothing where there is no --os. */
int os_put_settings(Client *client, const char *vm, GPtrArray *texts, char **ret_volume);
