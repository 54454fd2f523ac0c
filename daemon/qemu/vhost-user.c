/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vhost-user.h"

#include "descriptor.h"
#include "tree.h"

/* A new string; NULL: it is another device's, or not installed. */
static char *read_program(int root_fd, const char *path, const char *type)
{
    json_t *descriptor = descriptor_load(root_fd, path);
    const char *its = json_string_value(json_object_get(descriptor, "type")), *binary = json_string_value(json_object_get(descriptor, "binary"));
    bool fits = its && binary && g_str_equal(its, type) && g_path_is_absolute(binary) && tree_has_program(root_fd, binary);
    char *program = fits ? g_strdup(binary) : NULL;
    json_decref(descriptor);
    return program;
}

char *vhost_user_find(int root_fd, const char *type, bool user, const char *thing, const char *remedy, Error **ret_error)
{
    g_auto(GStrv) folders = descriptor_folders("vhost-user", user);
    g_autoptr(GPtrArray) paths = descriptor_list(root_fd, (const char *const *) folders);
    for (guint i = 0; i < paths->len; i++) {
        char *program = read_program(root_fd, paths->pdata[i], type);
        if (program)
            return program;
    }
    g_autofree char *all = g_strjoinv(" or ", folders);
    error_set(ret_error, ERROR_UNSUPPORTED, thing, remedy, "no program for it is described in %s", all);
    return NULL;
}
