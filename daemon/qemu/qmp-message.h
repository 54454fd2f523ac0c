/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One line of QMP made a JSON object, at bounded cost. The guest agent speaks the same.
 *
 * A line of a few megabytes can be written so that its tree takes a hundred times its length; lines whose
 * tree would take more than QMP_TREE_MAX bytes are refused before they are parsed. Depth is bounded by
 * jansson (2048). */

#include <jansson.h>

#include "error.h"

#define QMP_TREE_MAX (32U * 1024U * 1024U)

typedef json_t QmpMessage;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpMessage, json_decref)

/* An object, the caller releases it (json_decref). jansson knows no integers above INT64_MAX but QEMU sends
 * some (2^64-1 for "unknown"): such a one comes with the same 64 bits, so that a cast of
 * json_integer_value() to uint64_t gives it back. */
json_t *qmp_message_parse(const char *line, size_t length, Error **ret_error);

/* What the error of an answer says, at most 1 KiB of it and fit to be shown; "" when it says nothing. A new string. */
char *qmp_message_error_words(const json_t *error);
