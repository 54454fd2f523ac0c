/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK 4096
#define HANG_UP (POLLHUP | POLLERR | POLLNVAL)
#define DRAIN_READS 256
#define DRAIN_WAITS 10
#define DRAIN_WAIT_MSEC 25
#define USEC_PER_SEC UINT64_C(1000000)

static char chunk[CHUNK];

void console_init(Console *console, int fd, int listen, int log, uint64_t log_size)
{
    console->fd = fd;
    console->listen = listen;
    if (listen >= 0)
        console_log_init(&console->log, log, log_size);
}

static void console_close(Console *console)
{
    close(console->fd);
    console->fd = -1;
    console->n_typed = 0;
}

static bool is_transient(int error)
{
    return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ENOMEM;
}

/* Sends the watcher what it has not seen, one chunk. */
static void watcher_send(Watcher *watcher, const ConsoleLog *log)
{
    ssize_t n = console_log_read(log, &watcher->offset, chunk, sizeof(chunk));

    if (n <= 0 || watcher->deaf)
        return;
    n = send(watcher->fd, chunk, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        watcher->offset += (uint64_t) n;
    else if (!is_transient(errno))
        watcher->deaf = true;
}

static void console_remove(Console *console, unsigned i)
{
    close(console->watchers[i].fd);
    console->n_watchers--;
    memmove(&console->watchers[i], &console->watchers[i + 1], (console->n_watchers - i) * sizeof(Watcher));
    if (console->next_typist > i)
        console->next_typist--;
}

/* The rest of what was printed has no room in the log: whoever is up to date sees it all the same. */
static void console_send_past_log(Console *console, uint64_t end, const char *text, size_t n)
{
    for (unsigned i = 0; i < console->n_watchers; i++) {
        Watcher *watcher = &console->watchers[i];

        if (watcher->offset == end)
            (void) !send(watcher->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        watcher->offset = console->log.end;
    }
}

/* Takes what QEMU has printed. False when there is nothing (more) to read. */
static bool console_read(Console *console)
{
    uint64_t end;
    size_t stored;
    ssize_t n;

    if (console->fd < 0)
        return false;
    n = recv(console->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || !is_transient(errno))
            console_close(console);
        return false;
    }
    end = console->log.end;
    stored = console_log_append(&console->log, chunk, (size_t) n);
    if (stored < (size_t) n)
        console_send_past_log(console, end, chunk, (size_t) n);
    return true;
}

static void console_send_typed(Console *console)
{
    ssize_t n;

    if (console->fd < 0 || console->n_typed == 0)
        return;
    n = send(console->fd, console->typed, console->n_typed, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        console->n_typed -= (unsigned) n;
        memmove(console->typed, console->typed + n, console->n_typed);
    } else if (n < 0 && !is_transient(errno)) {
        console->n_typed = 0;
    }
}

/* Takes what the watcher has typed; there is room for it. */
static void console_read_typed(Console *console, Watcher *watcher, bool hung_up)
{
    ssize_t n = recv(watcher->fd, console->typed, sizeof(console->typed), MSG_DONTWAIT);

    if (n > 0 && console->fd >= 0)
        console->n_typed = (unsigned) n;
    if (n == 0 || (n < 0 && (hung_up || !is_transient(errno))))
        watcher->silent = true;
}

static void console_accept(Console *console, uint64_t now_usec)
{
    static const char full[] = "vmd-guard: too many watch this console already\r\n";
    int fd = accept4(console->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            console->listen_usec = now_usec + USEC_PER_SEC;
        return;
    }
    if (console->n_watchers == GUARD_WATCHERS_MAX) {
        (void) !send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
        return;
    }
    console->watchers[console->n_watchers++] =
            (Watcher){.fd = fd, .offset = console_log_first(&console->log)};
}

static struct pollfd watcher_poll(const Console *console, const Watcher *watcher)
{
    short events = 0;

    /* A hang-up cannot be masked: a watcher whose last words have to wait is left out. */
    if (watcher->deaf && console->n_typed > 0)
        return (struct pollfd){.fd = -1};
    if (!watcher->silent && console->n_typed == 0)
        events |= POLLIN;
    if (!watcher->deaf && watcher->offset < console->log.end)
        events |= POLLOUT;
    return (struct pollfd){.fd = watcher->fd, .events = events};
}

unsigned console_poll(const Console *console, struct pollfd fds[static CONSOLE_POLL_MAX], uint64_t now_usec)
{
    unsigned n = 0;

    if (console->listen < 0)
        return 0;
    fds[n++] = (struct pollfd){
            .fd = console->fd, .events = (short) (POLLIN | (console->n_typed > 0 ? POLLOUT : 0))};
    fds[n++] =
            (struct pollfd){.fd = now_usec < console->listen_usec ? -1 : console->listen, .events = POLLIN};
    for (unsigned i = 0; i < console->n_watchers; i++)
        fds[n++] = watcher_poll(console, &console->watchers[i]);
    return n;
}

/* In turn, so that one who types without end leaves room for the others. */
static void console_take_typed(Console *console, const struct pollfd *fds, unsigned n)
{
    for (unsigned k = 0; k < n && console->n_typed == 0; k++) {
        unsigned i = (console->next_typist + k) % n;
        Watcher *watcher = &console->watchers[i];

        if (watcher->silent || !(fds[i].revents & ~POLLOUT))
            continue;
        console_read_typed(console, watcher, fds[i].revents & HANG_UP);
        if (console->n_typed > 0)
            console->next_typist = i + 1;
    }
}

void console_dispatch(Console *console, const struct pollfd *fds, unsigned n_fds, uint64_t now_usec)
{
    unsigned n = n_fds > 2 ? n_fds - 2 : 0;

    if (n_fds == 0)
        return;
    if (fds[0].revents & ~POLLOUT)
        console_read(console);
    console_send_typed(console);

    fds += 2;
    for (unsigned i = 0; i < n; i++) {
        if (fds[i].revents & HANG_UP)
            console->watchers[i].deaf = true;
    }
    console_take_typed(console, fds, n);
    for (unsigned i = n; i-- > 0;) {
        Watcher *watcher = &console->watchers[i];

        if (fds[i].revents & POLLOUT)
            watcher_send(watcher, &console->log);
        if (watcher->deaf && watcher->silent)
            console_remove(console, i);
    }
    if (fds[-1].revents)
        console_accept(console, now_usec);
}

uint64_t console_deadline(const Console *console, uint64_t now_usec)
{
    return now_usec < console->listen_usec ? console->listen_usec : UINT64_MAX;
}

/* Brings all watchers as far as they take it now. True when one of them has not seen everything. */
static bool console_send_all(Console *console)
{
    bool behind = false;

    for (unsigned i = 0; i < console->n_watchers; i++) {
        Watcher *watcher = &console->watchers[i];
        uint64_t before;

        do {
            before = watcher->offset;
            watcher_send(watcher, &console->log);
        } while (watcher->offset != before);
        behind |= !watcher->deaf && watcher->offset < console->log.end;
    }
    return behind;
}

void console_drain(Console *console, bool wait)
{
    struct pollfd fds[GUARD_WATCHERS_MAX];

    if (console->listen < 0)
        return;
    for (int i = 0; i < DRAIN_READS && console_read(console); i++)
        ;
    for (int i = 0; console_send_all(console) && wait && i < DRAIN_WAITS; i++) {
        for (unsigned k = 0; k < console->n_watchers; k++) {
            Watcher *watcher = &console->watchers[k];
            bool behind = !watcher->deaf && watcher->offset < console->log.end;

            fds[k] = (struct pollfd){.fd = behind ? watcher->fd : -1, .events = POLLOUT};
        }
        if (poll(fds, console->n_watchers, DRAIN_WAIT_MSEC) <= 0)
            break;
    }
}
