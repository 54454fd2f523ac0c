/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "journal.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES_PER_SECOND 200
#define LINES_BURST 1000
#define USEC_PER_SEC UINT64_C(1000000)

/* A bucket of lines. Once it is empty everything is dropped for a second, so that a flood costs one notice a
 * second and not one between any two lines. */
static unsigned tokens = LINES_BURST;
static uint64_t filled_usec;
static uint64_t dropped;
static uint64_t dropping_until_usec; /* 0: not dropping */

/* One write of at most PIPE_BUF bytes when the descriptor says that there is room: does not wait. */
static bool write_line(JournalLevel level, const char *line, size_t n)
{
    char buffer[JOURNAL_LINE_MAX + 8];
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

    if (n > JOURNAL_LINE_MAX)
        n = JOURNAL_LINE_MAX;
    buffer[0] = '<';
    buffer[1] = (char) ('0' + level);
    buffer[2] = '>';
    memcpy(buffer + 3, line, n);
    buffer[n + 3] = '\n';
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
        return false;
    return write(STDERR_FILENO, buffer, n + 4) == (ssize_t) (n + 4);
}

void journal_say(JournalLevel level, const char *format, ...)
{
    char text[512];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (n < 0)
        return;
    if ((size_t) n >= sizeof(text))
        n = sizeof(text) - 1;
    if (!write_line(level, text, journal_clean(text, (size_t) n)))
        dropped++;
}

static void refill(uint64_t now_usec)
{
    uint64_t more = (now_usec - filled_usec) * LINES_PER_SECOND / USEC_PER_SEC;

    if (filled_usec == 0) {
        filled_usec = now_usec;
        return;
    }
    if (more == 0)
        return;
    filled_usec = now_usec;
    tokens = more > LINES_BURST - tokens ? LINES_BURST : tokens + (unsigned) more;
}

void journal_forward(JournalLevel level, const char *line, size_t n, uint64_t now_usec)
{
    refill(now_usec);
    journal_flush(now_usec);
    if (dropping_until_usec == 0 && tokens > 0 && write_line(level, line, n)) {
        tokens--;
        return;
    }
    if (dropping_until_usec == 0)
        dropping_until_usec = now_usec + USEC_PER_SEC;
    dropped++;
}

uint64_t journal_deadline(void)
{
    return dropping_until_usec > 0 ? dropping_until_usec : UINT64_MAX;
}

void journal_flush(uint64_t now_usec)
{
    char text[64];
    int n;

    if (dropping_until_usec == 0 || now_usec < dropping_until_usec)
        return;
    n = snprintf(text, sizeof(text), "%llu lines dropped", (unsigned long long) dropped);
    if (!write_line(JOURNAL_WARNING, text, (size_t) n)) {
        dropping_until_usec = now_usec + USEC_PER_SEC;
        return;
    }
    dropped = 0;
    dropping_until_usec = 0;
}

/* The length of the UTF-8 character at `text`, or 0 when there is none. */
static size_t utf8_length(const unsigned char *text, size_t n)
{
    uint32_t c = text[0];
    size_t length;

    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        length = 2;
    else if ((c & 0xf0) == 0xe0)
        length = 3;
    else if (c >= 0xf0 && c <= 0xf4)
        length = 4;
    else
        return 0;
    if (length > n)
        return 0;
    c &= 0x7fU >> length;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    if ((length == 3 && c < 0x800) || (length == 4 && c < 0x10000) || c > 0x10ffff ||
            (c >= 0xd800 && c <= 0xdfff))
        return 0;
    return length;
}

size_t journal_clean(char *text, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0, length; i < n; i += length ? length : 1) {
        unsigned char c = (unsigned char) text[i];

        length = utf8_length((const unsigned char *) text + i, n - i);
        if (length == 0) {
            text[kept++] = '?';
            continue;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f || (c == 0xc2 && (unsigned char) text[i + 1] < 0xa0))
            continue;
        memmove(text + kept, text + i, length);
        kept += length;
    }
    return kept;
}
