/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of the kernel's network: a network namespace of one's own, and commands that look at it from outside of vmd. */

#include <errno.h>
#include <glib.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

/* False where it is not allowed, or a tool is not there. */
static inline bool net_enter_namespace(void)
{
    g_autofree char *ip = g_find_program_in_path("ip");
    return ip && unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
}

/* Whether a shell says that it is so. */
static inline bool G_GNUC_PRINTF(1, 2) sh(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *command = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_test_message("%s", command);
    return system(command) == 0;
}
