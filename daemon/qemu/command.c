/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <jansson.h>
#include <stdarg.h>

static void group_free(gpointer p)
{
    CommandGroup *group = p;
    g_free(group->origin);
    g_strfreev(group->args);
    g_free(group);
}

Command *command_new(void)
{
    Command *command = g_new0(Command, 1);
    command->groups = g_ptr_array_new_with_free_func(group_free);
    command->fds = g_array_new(FALSE, FALSE, sizeof(int));
    return command;
}

void command_free(Command *command)
{
    if (!command)
        return;
    g_ptr_array_free(command->groups, TRUE);
    g_array_free(command->fds, TRUE);
    g_free(command);
}

/* Takes args. */
static void add(Command *command, const char *origin, char **args)
{
    CommandGroup *group = g_new0(CommandGroup, 1);
    group->origin = g_strdup(origin);
    group->args = args;
    g_ptr_array_add(command->groups, group);
}

void command_add(Command *command, const char *origin, ...)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();
    va_list ap;
    va_start(ap, origin);
    for (const char *arg; (arg = va_arg(ap, const char *));)
        g_strv_builder_add(args, arg);
    va_end(ap);
    add(command, origin, g_strv_builder_end(args));
}

void command_addf(Command *command, const char *origin, const char *option, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char **args = g_new0(char *, 3);
    args[0] = g_strdup(option);
    args[1] = g_strdup_vprintf(format, ap);
    va_end(ap);
    add(command, origin, args);
}

void command_add_strv(Command *command, const char *origin, const char *const *args)
{
    add(command, origin, g_strdupv((char **) args));
}

void command_add_fd(Command *command, int fd)
{
    g_array_append_val(command->fds, fd);
}

char **command_argv(const Command *command)
{
    GPtrArray *argv = g_ptr_array_new();
    for (guint i = 0; i < command->groups->len; i++) {
        const CommandGroup *group = command->groups->pdata[i];
        for (size_t j = 0; group->args[j]; j++)
            g_ptr_array_add(argv, group->args[j]);
    }
    g_ptr_array_add(argv, NULL);
    return (char **) g_ptr_array_free(argv, FALSE);
}

char *command_to_text(const Command *command)
{
    json_t *groups = json_array();
    for (guint i = 0; i < command->groups->len; i++) {
        const CommandGroup *group = command->groups->pdata[i];
        json_t *row = json_pack("[s]", group->origin);
        for (size_t j = 0; group->args[j]; j++)
            json_array_append_new(row, json_string(group->args[j]));
        json_array_append_new(groups, row);
    }
    char *text = json_dumps(groups, JSON_COMPACT);
    json_decref(groups);
    return text;
}

Command *command_from_text(const char *text)
{
    g_autoptr(Command) command = command_new();
    json_t *groups = json_loads(text, 0, NULL), *row;
    size_t i, j;
    if (!json_is_array(groups)) {
        json_decref(groups);
        return NULL;
    }
    json_array_foreach (groups, i, row) {
        g_autoptr(GStrvBuilder) args = g_strv_builder_new();
        json_t *arg;
        json_array_foreach (row, j, arg)
            if (j > 0 && json_is_string(arg))
                g_strv_builder_add(args, json_string_value(arg));
        add(command, json_string_value(json_array_get(row, 0)) ?: "", g_strv_builder_end(args));
    }
    json_decref(groups);
    return g_steal_pointer(&command);
}
