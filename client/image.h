/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Images: what disks are made from, in the pool "images" or wherever a word says. Those that return an exit code have said what was wrong
 * when it is not EXIT_DONE. */

#include "job.h"

#define IMAGE_POOL "images"

/* A call of Pool.ImportVolume, for job_perform(): `fd` is open for reading only, `size` 0: that of the image. */
int image_import_call(Client *client, const char *word, int fd, const char *format, uint64_t size, JobCall *ret);

/* As if --OPTION=VALUE, of a setting, came first. `value` must live as long as the client. */
void image_put_first(Client *client, const char *option, const char *value);

/* create --image, or --disk=SIZE, which is how large it is: makes POOL/NAME.qcow2 for a VM of that name, and puts it in that option's place. *ret_volume,
 * which the caller frees, is what image_remove_disk() takes back; NULL where neither was given. */
int image_make_disk(Client *client, const char *vm, char **ret_volume);
/* An empty one, where none of these was given. */
int image_make_empty_disk(Client *client, const char *vm, uint64_t size, char **ret_volume);
void image_remove_disk(Client *client, const char *volume);
