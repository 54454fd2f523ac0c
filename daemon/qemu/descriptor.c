/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"
#include "tree.h"

#define DESCRIPTOR_MAX (1024U * 1024U)
#define DESCRIPTORS_MAX 256U

char **descriptor_folders(const char *kind, bool user)
{
    static const char *const shared[] = {"/usr/share/qemu", "/etc/qemu"};
    GPtrArray *folders = g_ptr_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(shared); i++)
        g_ptr_array_add(folders, g_build_filename(shared[i], kind, NULL));
    if (user)
        g_ptr_array_add(folders, g_build_filename(g_get_user_config_dir(), "qemu", kind, NULL));
    g_ptr_array_add(folders, NULL);
    return (char **) g_ptr_array_free(folders, FALSE);
}

/* NULL: it cannot be read. What is no regular file, such as a link to /dev/null, is empty. */
static char *read_text(int root_fd, const char *path, size_t *ret_size)
{
    fd_cleanup int fd = tree_open(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t) DESCRIPTOR_MAX)
        return NULL;
    size_t size = S_ISREG(st.st_mode) ? (size_t) st.st_size : 0;
    g_autofree char *text = g_malloc(size + 1);
    if (io_read_all(fd, text, size) != (ssize_t) size)
        return NULL;
    *ret_size = size;
    return g_steal_pointer(&text);
}

json_t *descriptor_load(int root_fd, const char *path)
{
    size_t size;
    g_autofree char *text = read_text(root_fd, path, &size);
    json_error_t wrong = {.text = "it cannot be read"};
    if (text && size == 0)
        return NULL;
    json_t *descriptor = text ? json_loadb(text, size, 0, &wrong) : NULL;
    if (json_is_object(descriptor))
        return descriptor;
    g_warning("%s: it is passed over: %s", path, descriptor ? "it is no descriptor" : wrong.text);
    json_decref(descriptor);
    return NULL;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *descriptor_list(int root_fd, const char *const *folders)
{
    g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GPtrArray *sorted = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; folders[i]; i++) {
        g_autoptr(GPtrArray) files = tree_list(root_fd, folders[i], DESCRIPTORS_MAX);
        for (guint j = 0; j < files->len; j++) {
            const char *name = files->pdata[j];
            if (g_str_has_suffix(name, ".json") && *name != '.')
                g_hash_table_insert(paths, g_strdup(name), g_build_filename(folders[i], name, NULL));
        }
    }
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_ptr_array_add(names, name);
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++)
        g_ptr_array_add(sorted, g_strdup(g_hash_table_lookup(paths, names->pdata[i])));
    return sorted;
}
