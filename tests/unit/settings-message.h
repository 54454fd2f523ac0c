/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus messages for tests: made and read by sd-bus on a private connection, sent nowhere. */

#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static inline sd_bus_message *message_new(void)
{
    sd_bus_message *m = NULL;
    sd_bus *bus = NULL;
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    g_assert_cmpint(sd_bus_new(&bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
    g_assert_cmpint(sd_bus_start(bus), >=, 0);
    g_assert_cmpint(
            sd_bus_message_new_method_call(bus, &m, NULL, "/org/vmd1", "org.vmd1.Test", "Test"), >=, 0);
    /* The message keeps the connection, which is closed with it. */
    sd_bus_unref(bus);
    g_assert_cmpint(close(fds[1]), ==, 0);
    return m;
}

/* From here on it can be read. */
static inline void message_seal(sd_bus_message *m)
{
    g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
    g_assert_cmpint(sd_bus_message_rewind(m, 1), >=, 0);
}

/* What is left of the container as text: a struct of "MemoryMax" and t 1024 becomes "(MemoryMax t: 1024)". */
static inline void message_dump(sd_bus_message *m, GString *s)
{
    const char *contents;
    char type;

    while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
        union {
            uint8_t y;
            uint16_t q;
            int32_t i;
            uint32_t u;
            uint64_t t;
            const char *s;
            int b;
        } v;

        if (strchr("avr", type)) {
            if (type != 'v')
                g_string_append_c(s, type == 'a' ? '[' : '(');
            else
                g_string_append_printf(s, "%s: ", contents);
            g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >, 0);
            message_dump(m, s);
            g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
            if (type != 'v')
                g_string_append_c(s, type == 'a' ? ']' : ')');
        } else {
            g_assert_cmpint(sd_bus_message_read_basic(m, type, &v), >, 0);
            if (type == 'y')
                g_string_append_printf(s, "%02x", v.y);
            else if (type == 'q')
                g_string_append_printf(s, "%u", v.q);
            else if (type == 'i' || type == 'b')
                g_string_append_printf(s, "%d", v.i);
            else if (type == 'u')
                g_string_append_printf(s, "%u", v.u);
            else if (type == 't')
                g_string_append_printf(s, "%" G_GUINT64_FORMAT, v.t);
            else
                g_string_append(s, v.s);
        }
        if (sd_bus_message_at_end(m, 0) == 0)
            g_string_append_c(s, ' ');
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
