/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "output.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_READS 256

void output_init(Output *output, int fd)
{
    output->fd = fd;
}

/* Remembers `text`, and forgets the oldest lines that there is no room for. */
static void output_remember(Output *output, const char *text, size_t n)
{
    size_t over =
            output->n_tail + n + 1 > sizeof(output->tail) ? output->n_tail + n + 1 - sizeof(output->tail) : 0;

    if (over > 0) {
        const char *newline = memchr(output->tail + over - 1, '\n', output->n_tail - (over - 1));
        size_t drop = newline ? (size_t) (newline - output->tail) + 1 : output->n_tail;

        output->n_tail -= (unsigned) drop;
        memmove(output->tail, output->tail + drop, output->n_tail);
    }
    memcpy(output->tail + output->n_tail, text, n);
    output->tail[output->n_tail + n] = '\n';
    output->n_tail += (unsigned) n + 1;
}

static void output_line(Output *output, char *line, size_t n, uint64_t now_usec)
{
    n = journal_clean(line, n);
    journal_forward(JOURNAL_WARNING, line, n, now_usec);
    output_remember(output, line, n);
}

/* False when there is nothing (more) to read. */
static bool output_read(Output *output, uint64_t now_usec)
{
    char *line = output->line, *newline;
    ssize_t n;

    if (output->fd < 0)
        return false;
    n = read(output->fd, output->line + output->n_line, sizeof(output->line) - output->n_line);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            close(output->fd);
            output->fd = -1;
        }
        return false;
    }
    output->n_line += (unsigned) n;
    while ((newline = memchr(line, '\n', (size_t) (output->line + output->n_line - line)))) {
        output_line(output, line, (size_t) (newline - line), now_usec);
        line = newline + 1;
    }
    output->n_line -= (unsigned) (line - output->line);
    memmove(output->line, line, output->n_line);
    if (output->n_line == sizeof(output->line)) {
        output_line(output, output->line, output->n_line, now_usec);
        output->n_line = 0;
    }
    return true;
}

struct pollfd output_poll(const Output *output)
{
    return (struct pollfd){.fd = output->fd, .events = POLLIN};
}

void output_dispatch(Output *output, uint64_t now_usec)
{
    output_read(output, now_usec);
}

void output_drain(Output *output, uint64_t now_usec)
{
    for (int i = 0; i < DRAIN_READS && output_read(output, now_usec); i++)
        ;
    if (output->n_line > 0)
        output_line(output, output->line, output->n_line, now_usec);
    output->n_line = 0;
}

void output_add(Output *output, const char *line, uint64_t now_usec)
{
    size_t n = strlen(line);

    if (n > JOURNAL_LINE_MAX)
        n = JOURNAL_LINE_MAX;
    journal_forward(JOURNAL_ERROR, line, n, now_usec);
    output_remember(output, line, n);
}
