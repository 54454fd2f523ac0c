/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a TPM remembers without power, as a text that snapshots and backups keep: a key file of its files in base64. Whoever has taken a
 * swtpm over has its folder: what is there is read as a stranger's. */

#include "tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "manager.h"

#define GROUP "TPM"
#define MADE ".made" /* while it is written */

/* swtpm's names. Those of what it does not keep without power go when other files are put there. */
static const char *const kept[] = {"tpm2-00.permall", "tpm-00.permall"};
static const char *const others[] = {"tpm2-00.volatilestate", "tpm-00.volatilestate", "tpm2-00.savestate", "tpm-00.savestate"};

char *tpm_folder(const VM *vm)
{
    return g_build_filename(vm->manager->dirs->tpm, vm->name, NULL);
}

static int read_file(int dir, const char *name, GByteArray *bytes)
{
    struct stat st;
    fd_cleanup int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t) st.st_size > TPM_FILE_MAX)
        return -EBADMSG;
    g_byte_array_set_size(bytes, (guint) st.st_size);
    ssize_t n = pread(fd, bytes->data, bytes->len, 0);
    return n < 0 ? -errno : (size_t) n == bytes->len ? 0 : -EAGAIN;
}

char *tpm_state_read(const VM *vm, Error **ret_error)
{
    g_autofree char *path = tpm_folder(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    fd_cleanup int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0 && errno != ENOENT) {
        error_set_errno(ret_error, errno, path, "what its TPM remembers cannot be read");
        return NULL;
    }
    for (size_t i = 0; dir >= 0 && i < G_N_ELEMENTS(kept); i++) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        int r = read_file(dir, kept[i], bytes);
        if (r == -ENOENT)
            continue;
        if (r < 0) {
            error_set_errno(ret_error, r, path, "\"%s\" in it, what its TPM remembers, cannot be read", kept[i]);
            return NULL;
        }
        g_autofree char *text = g_base64_encode(bytes->data, bytes->len);
        g_key_file_set_string(file, GROUP, kept[i], text);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

/* Under another name first, so that a crash leaves the old one or the new one. */
static int write_file(int dir, const char *name, const void *data, size_t length)
{
    (void) unlinkat(dir, MADE, 0);
    fd_cleanup int fd = openat(dir, MADE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = io_write_all(fd, data, length);
    if (r >= 0)
        r = fsync(fd) < 0 || renameat(dir, MADE, dir, name) < 0 ? -errno : 0;
    if (r < 0)
        (void) unlinkat(dir, MADE, 0);
    return r;
}

static int write_all(int dir, GKeyFile *file)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        g_autofree char *text = g_key_file_get_string(file, GROUP, kept[i], NULL);
        gsize length = 0;
        g_autofree guchar *data = text ? g_base64_decode(text, &length) : NULL;
        int r = text ? write_file(dir, kept[i], data, length) : unlinkat(dir, kept[i], 0) < 0 && errno != ENOENT ? -errno : 0;
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        (void) unlinkat(dir, others[i], 0);
    return fsync(dir) < 0 ? -errno : 0;
}

bool tpm_state_write(const VM *vm, const char *state, Error **ret_error)
{
    g_autofree char *path = tpm_folder(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_data(file, state, strlen(state), G_KEY_FILE_NONE, NULL) || !g_key_file_has_group(file, GROUP))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, vm->name, NULL, "what its TPM is to remember is damaged");
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set_errno(ret_error, errno, path, "the folder of the TPM's state cannot be made");
    fd_cleanup int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = dir < 0 ? -errno : write_all(dir, file);
    return r >= 0 || error_set_errno(ret_error, r, path, "what its TPM is to remember cannot be written");
}
