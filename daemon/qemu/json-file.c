/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "qmp-message.h"

static char *read_file(const char *path, size_t size_max, size_t *ret_size)
{
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    g_autofree char *text = NULL;
    size_t size;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
            (size_t) st.st_size > size_max)
        return NULL;
    /* Its folder is ours, but what another has written into it would choose what runs. */
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return NULL;
    size = (size_t) st.st_size;
    text = g_malloc(size + 1);
    if (io_read_all(fd, text, size) != (ssize_t) size)
        return NULL;
    *ret_size = size;
    return g_steal_pointer(&text);
}

json_t *json_file_load(const char *path, size_t size_max)
{
    g_autofree char *text = NULL;
    size_t size;

    text = read_file(path, size_max, &size);
    return text ? qmp_message_parse(text, size, NULL) : NULL;
}

int json_file_save(const char *path, const json_t *json)
{
    g_autofree char *text = json_dumps(json, JSON_INDENT(1)), *folder = g_path_get_dirname(path);

    if (!text)
        return -EINVAL;
    if (g_mkdir_with_parents(folder, 0755) < 0)
        return -errno;
    /* Not durable: what a crash leaves of it is found out by reading. */
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, NULL))
        return -EIO;
    return 0;
}
