/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QmpLine: what the guard needs to know of one line from a QEMU monitor.
 *
 * A scanner for the top level of a JSON object, not a JSON parser: it knows strings and nesting well enough
 * never to take text inside a string or a deeper object for a key, keeps nothing, and works without recursion
 * on a line of any content. */

#include <stddef.h>

typedef enum QmpLineType {
    QMP_LINE_OTHER, /* also what is no QMP at all */
    QMP_LINE_GREETING,
    QMP_LINE_ANSWER, /* to a command: "return" or "error" */
    QMP_LINE_SHUTDOWN,
    QMP_LINE_RESET,
    QMP_LINE_PANICKED,
    _QMP_LINE_TYPE_MAX,
} QmpLineType;

#define QMP_REASON_MAX 32

/* `reason` receives the data's reason when the line is an event that has one made of [a-z0-9-], else "". */
QmpLineType qmp_line_read(const char *line, size_t n, char reason[static QMP_REASON_MAX]);
