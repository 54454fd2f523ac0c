/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "call-options.h"

#include <errno.h>

#include "value.h"

static int read_descriptors(sd_bus_message *m, GArray **target)
{
    int fd, r = sd_bus_message_enter_container(m, 'a', "h");
    if (*target)
        g_array_unref(*target);
    *target = g_array_new(FALSE, FALSE, sizeof(int));
    while (r >= 0 && (r = sd_bus_message_read(m, "h", &fd)) > 0)
        g_array_append_val(*target, fd);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_typed(sd_bus_message *m, const CallOption *option)
{
    const char *text;
    int flag, r;
    switch (option->type) {
    case 's':
        r = sd_bus_message_read(m, "s", &text);
        if (r >= 0) {
            g_free(*(char **) option->target);
            *(char **) option->target = g_strdup(text);
        }
        return r;
    case 't':
        return sd_bus_message_read(m, "t", option->target);
    case 'b':
        r = sd_bus_message_read(m, "b", &flag);
        if (r >= 0)
            *(bool *) option->target = flag;
        return r;
    case 'h':
        return read_descriptors(m, option->target);
    case 'f':
        return sd_bus_message_read(m, "h", option->target);
    case 'a':
        g_strfreev(*(char ***) option->target);
        *(char ***) option->target = NULL;
        return sd_bus_message_read_strv(m, option->target);
    }
    return -EINVAL;
}

/* As a settings file has it. */
static int read_text(sd_bus_message *m, const CallOption *option)
{
    const char *text;
    int r = sd_bus_message_read(m, "s", &text);
    if (r < 0)
        return r;
    return option->type == 't' ? parse_size(text, option->target) : option->type == 'b' ? parse_boolean(text, option->target) : -EINVAL;
}

static int read_value(sd_bus_message *m, const CallOption *option)
{
    const char *contents, *typed = option->type == 's' ? "s" : option->type == 't' ? "t" : option->type == 'b' ? "b" : option->type == 'h' ? "ah" : option->type == 'f' ? "h" : "as";
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);
    if (r < 0 || type != 'v')
        return r < 0 ? r : -EINVAL;
    bool as_text = g_str_equal(contents, "s") && option->type != 's';
    if (!as_text && !g_str_equal(contents, typed))
        return -EINVAL;
    r = sd_bus_message_enter_container(m, 'v', contents);
    if (r >= 0)
        r = as_text ? read_text(m, option) : read_typed(m, option);
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool fail_unknown(const CallOption *options, const char *key, Error **ret_error)
{
    g_autoptr(GString) known = g_string_new("There are ");
    for (const CallOption *option = options; option->name; option++)
        g_string_append_printf(known, "%s%s", option > options ? option[1].name ? ", " : " and " : "", option->name);
    g_autofree char *shown = g_strescape(key, NULL);
    return error_set(ret_error, ERROR_UNSUPPORTED, NULL, known->str, "there is no option \"%.64s\"", shown);
}

static bool read_option(sd_bus_message *m, const CallOption *options, Error **ret_error)
{
    const char *key;
    int r = sd_bus_message_read(m, "s", &key);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the options cannot be read");
    for (const CallOption *option = options; option->name; option++) {
        if (!g_str_equal(option->name, key))
            continue;
        r = read_value(m, option);
        return r >= 0 || error_set(ret_error, ERROR_INVALID_SETTINGS, key, NULL, "the value of this option is not what it takes");
    }
    return fail_unknown(options, key, ret_error);
}

bool call_options_read(sd_bus_message *m, const CallOption *options, Error **ret_error)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        if (!read_option(m, options, ret_error))
            return false;
        r = sd_bus_message_exit_container(m);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the options cannot be read");
}
