/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Preview: the command line that a start would use now. Opens what a start would open, to find the errors
 * that it would find, and closes it again; makes nothing and starts nothing. The numbers of descriptors
 * are examples. */

#include "command.h"
#include "vm.h"

/* Either `command` or `error` is set, both borrowed. May be called before vm_preview() returns. */
typedef void (*PreviewDone)(Command *command, const Error *error, void *userdata);

bool vm_preview(VM *vm, PreviewDone done, void *userdata, Error **ret_error);
