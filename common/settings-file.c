/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "settings-internal.h"

#define DROP_INS_MAX 128U

static int close_keep_errno(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
    return -1;
}

static bool fail_to_open(Error **ret_error, const char *path, int err)
{
    g_autofree char *target = NULL;

    switch (err) {
    case ENOENT:
        return error_set(ret_error, ERROR_FAILED, path, NULL, "the file does not exist");
    case ELOOP:
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, "Put the file itself there.",
                "this is a symbolic link, which is not followed");
    case EACCES:
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "the file may not be read: %s",
                g_strerror(err));
    case ENXIO:
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "this is not a regular file");
    default:
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "the file cannot be opened: %s",
                g_strerror(err));
    }
}

/* The whole file at once: one that grows meanwhile is still bounded, one that shrinks is read as it is. */
static char *read_all(int fd, size_t expected, size_t *ret_length, int *ret_errno)
{
    size_t size = MIN(expected, (size_t) SETTINGS_FILE_MAX) + 1;
    g_autofree char *text = g_malloc(size + 1);
    ssize_t n = io_read_all(fd, text, size), more = 0;
    if (n == (ssize_t) size && size <= SETTINGS_FILE_MAX) {
        text = g_realloc(text, SETTINGS_FILE_MAX + 2);
        more = io_read_all(fd, text + n, SETTINGS_FILE_MAX + 1 - size);
    }
    if (n < 0 || more < 0) {
        *ret_errno = (int) -MIN(n, more);
        return NULL;
    }
    n += more;
    text[n] = '\0';
    *ret_length = (size_t) n;
    return g_steal_pointer(&text);
}

/* What stands in the file is done with our rights, so nobody who lacks them may write it. */
static bool is_trusted(const struct stat *st, const char *path, Error **ret_error)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, "Look at what it says, then 'chown root' it",
                "it belongs to another user (uid %u)", st->st_uid);
    if (st->st_mode & S_IWOTH || (st->st_mode & S_IWGRP && st->st_gid != 0))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, "Look at what it says, then 'chmod go-w' it",
                "others than its owner may write it");
    return true;
}

static char *read_file(int dir_fd, const char *file, const char *path, size_t *ret_length, Error **ret_error)
{
    struct stat st;
    char *text;
    int fd, err = 0;

    fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        goto cannot_open;
    if (fstat(fd, &st) < 0) {
        close_keep_errno(fd);
        goto cannot_open;
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "this is %s, not a regular file",
                S_ISDIR(st.st_mode)    ? "a directory"
                : S_ISFIFO(st.st_mode) ? "a FIFO"
                                       : "a device or socket");
        return NULL;
    }
    if (!is_trusted(&st, path, ret_error)) {
        close(fd);
        return NULL;
    }
    if (st.st_size > SETTINGS_FILE_MAX) {
        close(fd);
        error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL,
                "the file has more than %u bytes, which no settings file needs", SETTINGS_FILE_MAX);
        return NULL;
    }

    text = read_all(fd, (size_t) st.st_size, ret_length, &err);
    close(fd);
    if (!text)
        error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "the file cannot be read: %s",
                g_strerror(err));
    return text;

cannot_open:
    fail_to_open(ret_error, path, errno);
    return NULL;
}

static bool merge_file(Settings *settings, int dir_fd, const char *file, const char *path, Error **ret_error)
{
    size_t length;
    char *text = read_file(dir_fd, file, path, &length, ret_error);

    return text && settings_merge(settings, text, length, path, ret_error);
}

char *settings_read_text(const char *path, Error **ret_error)
{
    size_t length;
    g_autofree char *text = read_file(AT_FDCWD, path, path, &length, ret_error);

    if (text && (strlen(text) != length || !g_utf8_validate(text, (gssize) length, NULL))) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "the file is not text in UTF-8");
        return NULL;
    }
    return g_steal_pointer(&text);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The names of the drop-ins, sorted. Closes nothing; `dir` is at its end after. */
static GPtrArray *list_drop_ins(DIR *dir)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct dirent *de;

    while ((errno = 0, de = readdir(dir)))
        if (de->d_name[0] != '.' && g_str_has_suffix(de->d_name, ".conf") && names->len <= DROP_INS_MAX)
            g_ptr_array_add(names, g_strdup(de->d_name));
    if (errno != 0)
        return NULL;
    g_ptr_array_sort(names, compare_names);
    return g_steal_pointer(&names);
}

char **settings_files(const char *path)
{
    g_autoptr(GStrvBuilder) files = g_strv_builder_new();
    g_autofree char *folder = g_strconcat(path, ".d", NULL);
    g_autoptr(GPtrArray) names = NULL;
    DIR *dir = opendir(folder);

    g_strv_builder_add(files, path);
    if (dir) {
        names = list_drop_ins(dir);
        closedir(dir);
    }
    for (unsigned i = 0; names && i < MIN(names->len, DROP_INS_MAX); i++) {
        g_autofree char *file = g_build_filename(folder, names->pdata[i], NULL);

        g_strv_builder_add(files, file);
    }
    return g_strv_builder_end(files);
}

static bool merge_drop_ins(Settings *settings, const char *path, Error **ret_error)
{
    g_autofree char *folder = g_strconcat(path, ".d", NULL);
    g_autoptr(GPtrArray) names = NULL;
    bool ok = true;
    DIR *dir;
    int fd;

    fd = open(folder, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT)
            return true;
        if (errno == ENOTDIR)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, folder, NULL, "this is not a directory");
        return fail_to_open(ret_error, folder, errno);
    }
    dir = fdopendir(fd);
    if (!dir) {
        close_keep_errno(fd);
        return fail_to_open(ret_error, folder, errno);
    }

    names = list_drop_ins(dir);
    if (!names)
        ok = fail_to_open(ret_error, folder, errno);
    else if (names->len > DROP_INS_MAX)
        ok = error_set(ret_error, ERROR_INVALID_SETTINGS, folder, NULL, "there are more than %u drop-ins",
                DROP_INS_MAX);
    for (unsigned i = 0; ok && i < names->len; i++) {
        g_autofree char *file = g_build_filename(folder, names->pdata[i], NULL);

        ok = merge_file(settings, dirfd(dir), names->pdata[i], file, ret_error);
    }
    closedir(dir);
    return ok;
}

Settings *settings_load(const Schema *schema, const char *path, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_new(schema);

    if (!merge_file(settings, AT_FDCWD, path, path, ret_error) ||
            !merge_drop_ins(settings, path, ret_error) || !settings_check_required(settings, NULL, ret_error))
        return NULL;
    return g_steal_pointer(&settings);
}

/* A hidden file beside `name`, so that neither a reader nor the watch on the folder takes it for one. */
static int open_temporary(int dir_fd, const char *name, char **ret_temporary)
{
    for (unsigned attempt = 0; attempt < 16; attempt++) {
        g_autofree char *temporary = NULL;
        uint64_t random;
        int fd;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
            return -errno;
        temporary = g_strdup_printf(".%s.%016" G_GINT64_MODIFIER "x", name, random);
        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0) {
            *ret_temporary = g_steal_pointer(&temporary);
            return fd;
        }
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

static int write_in(int dir_fd, const char *name, const char *text, mode_t mode, bool exclusive)
{
    g_autofree char *temporary = NULL;
    int fd, r;

    fd = open_temporary(dir_fd, name, &temporary);
    if (fd < 0)
        return fd;

    r = io_write_all(fd, text, strlen(text));
    if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;

    if (r == 0 && exclusive)
        r = linkat(dir_fd, temporary, dir_fd, name, 0) < 0 ? -errno : 0;
    else if (r == 0)
        r = renameat(dir_fd, temporary, dir_fd, name) < 0 ? -errno : 0;
    if (r < 0 || exclusive)
        unlinkat(dir_fd, temporary, 0);
    if (r == 0 && fsync(dir_fd) < 0)
        r = -errno;
    return r;
}

int settings_write(const char *path, const char *text, mode_t mode, bool exclusive)
{
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
    int dir_fd, r;

    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    r = write_in(dir_fd, name, text, mode, exclusive);
    close(dir_fd);
    return r;
}
