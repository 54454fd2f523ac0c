/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Appends `text` as g_strcompress() reads it back. A space that a key file's reader would strip and all that
 * is not ASCII go as octal numbers. */
static size_t escape(char *to, const char *text, size_t n)
{
    static const char specials[] = "\n\t\\\"", letters[] = "nt\\\"";
    size_t length = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char) text[i];
        const char *special = c ? strchr(specials, c) : NULL;

        if (special) {
            to[length++] = '\\';
            to[length++] = letters[special - specials];
        } else if (c < 0x20 || c >= 0x7f || (c == ' ' && (i == 0 || i == n - 1))) {
            to[length++] = '\\';
            to[length++] = (char) ('0' + (c >> 6));
            to[length++] = (char) ('0' + (c >> 3 & 7));
            to[length++] = (char) ('0' + (c & 7));
        } else {
            to[length++] = (char) c;
        }
    }
    return length;
}

int status_write(const Status *status, int fd, const char *output, size_t n_output)
{
    static char words[4 * GUARD_OUTPUT_MAX + 1]; /* page after page untouched until the end */
    struct iovec parts[2] = {{.iov_base = (char[512]){0}}, {.iov_base = words}};
    char *head = parts[0].iov_base;
    size_t n;
    ssize_t written;

    n = (size_t) snprintf(head, 512, "[" GUARD_STATUS_GROUP "]\nPid=%d\n", (int) status->pid);
    if (status->ended) {
        n += (size_t) snprintf(head + n, 512 - n,
                "Ended=yes\n%s%s=%d\n%s%s%s%sOutput=", status->executed ? "" : "Executed=no\n",
                status->signal ? "Signal" : "Code", status->signal ? status->signal : status->code,
                status->reason[0] ? "Reason=" : "", status->reason, status->reason[0] ? "\n" : "",
                status->panicked ? "Panicked=yes\n" : "");
        parts[1].iov_len = escape(words, output, n_output);
        words[parts[1].iov_len++] = '\n';
    }
    parts[0].iov_len = n;
    n += parts[1].iov_len;
    do
        written = pwritev(fd, parts, 2, 0);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        return -errno;
    if (ftruncate(fd, written) < 0)
        return -errno;
    return (size_t) written < n ? -ENOSPC : 0;
}

int status_write_fitting(const Status *status, int fd, const char *output, size_t n_output)
{
    const char *end = output + n_output;
    int r;

    while ((r = status_write(status, fd, end - n_output, n_output)) == -ENOSPC && n_output > 0) {
        for (n_output /= 2; n_output > 0 && ((unsigned char) *(end - n_output) & 0xc0) == 0x80; n_output--)
            ;
    }
    return r;
}

int status_exit_code(const Status *status, bool terminated)
{
    if (!status->executed)
        return GUARD_EXIT_EXEC;
    if (terminated)
        return 0;
    if (status->signal)
        return 128 + status->signal;
    return status->panicked ? GUARD_EXIT_PANICKED : status->code;
}
