/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Nft: libnftables, loaded when it is needed first: a vmd whose VMs have no network does not pay for it, and where it is missing
 * that is an error of the one who wants it.
 *
 * It may wait for the kernel: to be called in a thread (task/task.h). */

#include "error.h"

/* Carries out commands in nft's language, all or none. `ret_output`: what they print, as JSON, a new string; NULL: nothing is to be
 * known. ERROR_UNSUPPORTED where the library is not there. */
bool nft_run(const char *commands, char **ret_output, Error **ret_error);
