/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Command: a QEMU command line, in groups that each say where they come from ("/etc/vmd/web.vm:3",
 * "default", "the console").
 *
 * command.c only collects; machine.c is where settings become arguments. Descriptors stand in the arguments by number;
 * whoever spawns QEMU sees to it that they are open there under the same numbers. */

#include <stdbool.h>
#include <stddef.h>

#include <glib.h>

typedef struct CommandGroup {
    char *origin;
    char **args; /* NULL-terminated */
} CommandGroup;

typedef struct Command {
    GPtrArray *groups; /* CommandGroup; the first one is the binary */
    GArray *fds;       /* int: what QEMU gets; not owned */
} Command;

Command *command_new(void);
void command_free(Command *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, command_free)

/* Adds a group; all strings are copied. */
void command_add(Command *command, const char *origin, ...) G_GNUC_NULL_TERMINATED;

/* Adds "OPTION", "FORMAT..." as a group. */
void command_addf(Command *command, const char *origin, const char *option, const char *format, ...) G_GNUC_PRINTF(4, 5);
void command_add_strv(Command *command, const char *origin, const char *const *args);

/* QEMU gets this descriptor. */
void command_add_fd(Command *command, int fd);

/* All arguments in order, NULL-terminated; the caller frees the array only. */
char **command_argv(const Command *command);

/* As a file that command_from_text() reads back: JSON, [[origin, argument...]...]. */
char *command_to_text(const Command *command);
Command *command_from_text(const char *text);
