/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define PREFIX "io.systemd.credential.binary:"
#define ID_MAX 255

/* All tables of the firmware are 64 KiB, and base64 makes four bytes of three. */
#define TOTAL_MAX (32U * 1024)

static void credential_free(void *userdata)
{
    Credential *credential = userdata;
    g_free(credential->id);
    g_free(credential->path);
    g_free(credential->value);
    g_free(credential);
}

static bool id_is_valid(const char *id)
{
    if (!*id || strlen(id) > ID_MAX || *id == '.')
        return false;
    for (const char *c = id; *c; c++)
        if (!g_ascii_isgraph(*c) || *c == '/' || *c == ':')
            return false;
    return true;
}

static void remove_id(GPtrArray *credentials, const char *id)
{
    for (guint i = 0; i < credentials->len; i++)
        if (g_str_equal(((const Credential *) credentials->pdata[i])->id, id)) {
            g_ptr_array_remove_index(credentials, i);
            return;
        }
}

static bool read_words(const Settings *settings, const char *key, bool paths, GPtrArray *credentials, Error **ret_error)
{
    const char *const *words = settings_get_words(settings, "Credentials", key);
    const char *origin = settings_origin(settings, "Credentials", key);
    for (; words && *words; words++) {
        const char *colon = strchr(*words, ':');
        g_autofree char *id = colon ? g_strndup(*words, (size_t) (colon - *words)) : g_strdup("");
        if (!id_is_valid(id))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, origin, paths ? "Write it as Load=ID:PATH" : "Write it as Set=ID:VALUE",
                "%s= of [Credentials] names no credential", key);
        if (paths && (colon[1] != '/' || strstr(colon, "/../")))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, origin, "Write an absolute path", "the file of the credential \"%s\" is no absolute path", id);
        remove_id(credentials, id);
        Credential *credential = g_new0(Credential, 1);
        credential->id = g_steal_pointer(&id);
        credential->path = paths ? g_strdup(colon + 1) : NULL;
        credential->value = paths ? NULL : g_strdup(colon + 1);
        g_ptr_array_add(credentials, credential);
    }
    return true;
}

GPtrArray *credentials_read(const Settings *settings, Error **ret_error)
{
    g_autoptr(GPtrArray) credentials = g_ptr_array_new_with_free_func(credential_free);
    if (!read_words(settings, "Set", false, credentials, ret_error) || !read_words(settings, "Load", true, credentials, ret_error))
        return NULL;
    return g_steal_pointer(&credentials);
}

/* ---- in the thread ---- */

static bool read_file(const char *path, char *buffer, size_t *ret_n, Error **ret_error)
{
    struct stat st;
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(ret_error, errno, path, "Load= of [Credentials] cannot be opened");
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "Load= of [Credentials] is no regular file");
    ssize_t n = io_read_all(fd, buffer, TOTAL_MAX + 1);
    if (n < 0)
        return error_set_errno(ret_error, (int) -n, path, "Load= of [Credentials] cannot be read");
    *ret_n = (size_t) n;
    return true;
}

static int make_memfd(const char *text)
{
    fd_cleanup int fd = memfd_create("vmd-credential", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
    return r < 0 ? r : steal_fd(&fd);
}

static bool open_one(const Credential *credential, GArray *fds, size_t *total, Error **ret_error)
{
    g_autofree char *buffer = g_malloc0(TOTAL_MAX + 1);
    size_t n = credential->value ? strlen(credential->value) : 0;
    if (credential->path && !read_file(credential->path, buffer, &n, ret_error))
        return false;
    *total += n;
    if (*total > TOTAL_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, credential->id, "Give the guest a disk with it",
            "all credentials together are larger than %u KiB", TOTAL_MAX / 1024);
    g_autofree char *encoded = g_base64_encode((const guchar *) (credential->value ? credential->value : buffer), n);
    g_autofree char *text = g_strconcat(PREFIX, credential->id, "=", encoded, NULL);
    int fd = make_memfd(text);
    explicit_bzero(buffer, TOTAL_MAX);
    explicit_bzero(encoded, strlen(encoded));
    explicit_bzero(text, strlen(text));
    if (fd < 0)
        return error_set_errno(ret_error, fd, credential->id, "the credential cannot be kept");
    g_array_append_val(fds, fd);
    return true;
}

GArray *credentials_open(const GPtrArray *credentials, Error **ret_error)
{
    size_t total = 0;
    g_autoptr(GArray) fds = fd_array_new();
    for (guint i = 0; i < credentials->len; i++)
        if (!open_one(credentials->pdata[i], fds, &total, ret_error))
            return NULL;
    return g_steal_pointer(&fds);
}
