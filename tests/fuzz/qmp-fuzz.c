/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target: what a QEMU says on its monitor.
 *
 * The input is what arrives, in pieces: a byte of 255 ends a piece, so that lines are cut in all places, and
 * one of 254 makes a call in between. A byte of 253 stands for the first digits of this connection's ids,
 * which nine digits that count the calls follow. Every call must be answered exactly once, and nothing may be
 * left.
 *
 * The daemon waits for nothing else, so its loop is run until it is idle after each piece. */

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "qmp.h"

#define CALLS_MAX 64U
#define PIECE_MAX 65536U

static unsigned n_calls, n_answers, n_closed;

static void on_reply(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    if (!result == !error)
        __builtin_trap();
    n_answers++;
}

static void on_event(Qmp *qmp, const char *name, const json_t *data, void *userdata)
{
    if (!name || (data && !json_is_object(data)))
        __builtin_trap();
}

static void on_closed(Qmp *qmp, const Error *error, void *userdata)
{
    if (n_closed++ > 0)
        __builtin_trap();
}

static const QmpHandlers handlers = {.event = on_event, .closed = on_closed};

static void make_call(Qmp *qmp)
{
    if (n_calls < CALLS_MAX && qmp_call(qmp, "query-status", NULL, -1, 0, on_reply, NULL) >= 0)
        n_calls++;
}

static void run(sd_event *event)
{
    while (sd_event_run(event, 0) > 0)
        ;
}

/* The id of the first command without its last nine digits. */
static size_t read_digits(int fd, char digits[static 32])
{
    char line[128] = "";
    const char *id;
    size_t n;

    (void) !recv(fd, line, sizeof line - 1, MSG_PEEK);
    id = strstr(line, "\"id\":");
    n = id ? strspn(id + 5, "0123456789") : 0;
    if (n <= 9 || n > 31)
        __builtin_trap();
    memcpy(digits, id + 5, n - 9);
    return n - 9;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sd_event *event = NULL;
    Qmp *qmp = NULL;
    static char piece[PIECE_MAX];
    char digits[32];
    size_t digits_length;
    int fds[2];

    n_calls = n_answers = n_closed = 0;
    if (sd_event_new(&event) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
            qmp_new(event, fds[0], &handlers, NULL, &qmp) < 0)
        __builtin_trap();

    digits_length = read_digits(fds[1], digits);
    while (size > 0) {
        size_t n = 0, length = 0;

        for (; n < size && data[n] < 254 && length + sizeof digits <= sizeof piece; n++) {
            if (data[n] == 253) {
                memcpy(piece + length, digits, digits_length);
                length += digits_length;
            } else
                piece[length++] = (char) data[n];
        }
        if (length > 0)
            (void) send(fds[1], piece, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        run(event);
        if (n < size && data[n] >= 254) {
            if (data[n] == 254)
                make_call(qmp);
            n++;
        }
        data += n;
        size -= n;
    }
    close(fds[1]);
    run(event);
    if (n_closed != 1 || n_answers != n_calls)
        __builtin_trap();
    qmp_free(qmp);
    sd_event_unref(event);
    return 0;
}
