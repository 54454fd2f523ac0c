/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "monitor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "journal.h"

#define DRAIN_READS 256

/* A suspended guest cannot take the button, a paused one neither. Both commands fail harmlessly otherwise. */
#define COMMAND_PRESS                                                                                        \
    "{\"execute\":\"system_wakeup\"}\n{\"execute\":\"cont\"}\n{\"execute\":\"system_powerdown\"}\n"
/* A guest that is off already, in a QEMU that was told to wait (a reboot whose vmd has gone): there is no button left. */
#define COMMAND_QUIT "{\"execute\":\"quit\"}\n"
#define COMMAND_CAPABILITIES "{\"execute\":\"qmp_capabilities\"}\n"

void monitor_init(Monitor *monitor, int fd)
{
    monitor->fd = fd;
    monitor->state = MONITOR_SILENT;
}

static void monitor_close(Monitor *monitor)
{
    if (monitor->state == MONITOR_CLOSED)
        return;
    close(monitor->fd);
    monitor->fd = -1;
    monitor->state = MONITOR_CLOSED;
}

/* Sends what is queued, as far as it goes. */
static void monitor_send(Monitor *monitor)
{
    ssize_t n;

    if (monitor->state == MONITOR_READY && monitor->press && monitor->n_out == 0) {
        const char *command = monitor->reason[0] ? COMMAND_QUIT : COMMAND_PRESS;

        monitor->n_out = (unsigned) strlen(command);
        memcpy(monitor->out, command, monitor->n_out);
        monitor->press = false;
    }
    if (monitor->n_out == 0 || monitor->state == MONITOR_CLOSED)
        return;
    n = send(monitor->fd, monitor->out, monitor->n_out, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        monitor->n_out -= (unsigned) n;
        memmove(monitor->out, monitor->out + n, monitor->n_out);
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        monitor->n_out = 0;
    }
}

void monitor_press(Monitor *monitor)
{
    monitor->press = true;
    monitor_send(monitor);
}

static void monitor_line(Monitor *monitor, const char *line, size_t n, uint64_t now_usec)
{
    static const char panicked[] = "the guest panicked";
    char reason[QMP_REASON_MAX];

    switch (qmp_line_read(line, n, reason)) {
    case QMP_LINE_GREETING:
        if (monitor->state != MONITOR_SILENT)
            break;
        monitor->state = MONITOR_NEGOTIATING;
        monitor->n_out = sizeof(COMMAND_CAPABILITIES) - 1;
        memcpy(monitor->out, COMMAND_CAPABILITIES, monitor->n_out);
        break;
    case QMP_LINE_ANSWER:
        if (monitor->state == MONITOR_NEGOTIATING)
            monitor->state = MONITOR_READY;
        break;
    case QMP_LINE_SHUTDOWN:
        memcpy(monitor->reason, reason, sizeof(reason));
        break;
    case QMP_LINE_RESET:
        monitor->panicked = false;
        monitor->reason[0] = 0;
        break;
    case QMP_LINE_PANICKED:
        if (!monitor->panicked)
            journal_forward(JOURNAL_ERROR, panicked, sizeof(panicked) - 1, now_usec);
        monitor->panicked = true;
        break;
    case QMP_LINE_OTHER:
    case _QMP_LINE_TYPE_MAX:
        break;
    }
}

/* False when there is nothing (more) to read. */
static bool monitor_read(Monitor *monitor, uint64_t now_usec)
{
    char *line = monitor->in, *newline;
    ssize_t n;

    if (monitor->state == MONITOR_CLOSED)
        return false;
    n = recv(monitor->fd, monitor->in + monitor->n_in, sizeof(monitor->in) - monitor->n_in, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            monitor_close(monitor);
        return false;
    }
    monitor->n_in += (unsigned) n;
    while ((newline = memchr(line, '\n', (size_t) (monitor->in + monitor->n_in - line)))) {
        if (!monitor->skip)
            monitor_line(monitor, line, (size_t) (newline - line), now_usec);
        monitor->skip = false;
        line = newline + 1;
    }
    monitor->n_in -= (unsigned) (line - monitor->in);
    memmove(monitor->in, line, monitor->n_in);
    if (monitor->n_in == sizeof(monitor->in)) {
        monitor->skip = true;
        monitor->n_in = 0;
    }
    return true;
}

struct pollfd monitor_poll(const Monitor *monitor)
{
    bool send = monitor->n_out > 0 || (monitor->press && monitor->state == MONITOR_READY);

    return (struct pollfd){.fd = monitor->fd, .events = (short) (POLLIN | (send ? POLLOUT : 0))};
}

void monitor_dispatch(Monitor *monitor, short revents, uint64_t now_usec)
{
    if (revents & ~POLLOUT)
        monitor_read(monitor, now_usec);
    monitor_send(monitor);
}

void monitor_drain(Monitor *monitor, uint64_t now_usec)
{
    for (int i = 0; i < DRAIN_READS && monitor_read(monitor, now_usec); i++)
        ;
}
