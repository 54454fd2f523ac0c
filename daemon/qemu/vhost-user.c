/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vhost-user.h"

#include <unistd.h>

#include "descriptor.h"

/* A new string; NULL: it is another device's, or not installed. */
static char *read_program(const char *path, const char *type)
{
    json_t *descriptor = descriptor_load(path);
    const char *its = json_string_value(json_object_get(descriptor, "type")), *binary = json_string_value(json_object_get(descriptor, "binary"));
    bool fits = its && binary && g_str_equal(its, type) && g_path_is_absolute(binary) && access(binary, X_OK) == 0;
    char *program = fits ? g_strdup(binary) : NULL;
    json_decref(descriptor);
    return program;
}

char *vhost_user_find(const char *type, bool user, const char *thing, const char *remedy, Error **ret_error)
{
    g_auto(GStrv) folders = descriptor_folders("vhost-user", user);
    g_autoptr(GPtrArray) paths = descriptor_list((const char *const *) folders);
    for (guint i = 0; i < paths->len; i++) {
        char *program = read_program(paths->pdata[i], type);
        if (program)
            return program;
    }
    g_autofree char *all = g_strjoinv(" or ", folders);
    error_set(ret_error, ERROR_UNSUPPORTED, thing, remedy, "no program for it is described in %s", all);
    return NULL;
}
