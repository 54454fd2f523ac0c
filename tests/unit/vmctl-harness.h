/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the tests of vmctl: what it prints, as a string, and messages that are sent nowhere. */

#include <glib.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

typedef struct Capture {
    FILE *file;
    int saved, memory;
} Capture;

static inline Capture capture_begin(FILE *file)
{
    Capture c = {file, dup(fileno(file)), memfd_create("capture", MFD_CLOEXEC)};
    g_assert_cmpint(c.saved, >=, 0);
    g_assert_cmpint(c.memory, >=, 0);
    (void) fflush(file);
    g_assert_cmpint(dup2(c.memory, fileno(file)), >=, 0);
    return c;
}

/* A new string, the caller frees. */
static inline char *capture_end(Capture *c)
{
    (void) fflush(c->file);
    g_assert_cmpint(dup2(c->saved, fileno(c->file)), >=, 0);
    off_t length = lseek(c->memory, 0, SEEK_END);
    g_assert_cmpint(length, >=, 0);
    char *text = g_malloc0((size_t) length + 1);
    g_assert_cmpint(pread(c->memory, text, (size_t) length, 0), ==, length);
    (void) close(c->saved);
    (void) close(c->memory);
    return text;
}

static inline sd_bus_message *message_new(void)
{
    sd_bus_message *m = NULL;
    sd_bus *bus = NULL;
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NULL, "/", "org.vmd1.Test", "Test"), >=, 0);
    sd_bus_unref(bus); /* the message keeps it */
    g_assert_cmpint(close(fds[1]), ==, 0);
    return m;
}

/* From here on it can be read. */
static inline void message_seal(sd_bus_message *m)
{
    g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
    g_assert_cmpint(sd_bus_message_rewind(m, 1), >=, 0);
}
