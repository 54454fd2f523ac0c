/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lines.h"

#include <errno.h>
#include <string.h>

void lines_clear(Lines *lines)
{
    g_clear_pointer(&lines->partial, g_byte_array_unref);
}

int lines_take(Lines *lines, const char *data, size_t size, LinesHandler handler, void *userdata)
{
    const char *end;
    while (size > 0 && (end = memchr(data, '\n', size))) {
        size_t n = (size_t) (end - data);
        g_autoptr(GByteArray) line = g_steal_pointer(&lines->partial);
        if ((line ? line->len : 0) + n > lines->max)
            return -EMSGSIZE;
        if (line)
            g_byte_array_append(line, (const guint8 *) data, (guint) n);
        if (!handler(line ? (const char *) line->data : data, line ? line->len : n, userdata))
            return 0;
        data = end + 1;
        size -= n + 1;
    }
    if (size == 0)
        return 0;
    if ((lines->partial ? lines->partial->len : 0) + size > lines->max)
        return -EMSGSIZE;
    if (!lines->partial)
        lines->partial = g_byte_array_new();
    g_byte_array_append(lines->partial, (const guint8 *) data, (guint) size);
    return 0;
}
