/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup-set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "name.h"
#include "report.h"
#include "settings.h"

#define RECORD "backup"
#define GROUP "Backup"
#define CHAIN_MAX 64U
#define TPM "tpm"
#define TPM_MAX (4 << 20) /* vmd's */

static void file_free(void *userdata)
{
    BackupFile *file = userdata;
    g_free(file->disk);
    g_free(file->source);
    g_free(file);
}

Backup *backup_new(const char *vm, const char *name)
{
    Backup *backup = g_new0(Backup, 1);
    backup->vm = g_strdup(vm);
    backup->name = g_strdup(name);
    backup->files = g_ptr_array_new_with_free_func(file_free);
    return backup;
}

void backup_free(void *userdata)
{
    Backup *backup = userdata;
    g_free(backup->vm);
    g_free(backup->name);
    g_free(backup->since);
    g_free(backup->checkpoint);
    g_ptr_array_unref(backup->files);
    g_free(backup);
}

BackupFile *backup_add_file(Backup *backup, const char *disk)
{
    BackupFile *file = g_new0(BackupFile, 1);
    file->disk = g_strdup(disk);
    g_ptr_array_add(backup->files, file);
    return file;
}

const BackupFile *backup_find_file(const Backup *backup, const char *disk)
{
    for (guint i = 0; i < backup->files->len; i++) {
        const BackupFile *file = backup->files->pdata[i];
        if (strcmp(file->disk, disk) == 0)
            return file;
    }
    return NULL;
}

char *backup_file_name(const char *disk)
{
    return g_strdup_printf("%s.qcow2", disk);
}

/* ---- the record ---- */

static char *record_text(const Backup *backup)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, GROUP, "VM", backup->vm);
    g_key_file_set_uint64(file, GROUP, "Created", backup->created);
    g_key_file_set_boolean(file, GROUP, "Quiesced", backup->quiesced);
    if (backup->nvram)
        g_key_file_set_boolean(file, GROUP, "NVRAM", true);
    if (backup->since)
        g_key_file_set_string(file, GROUP, "Since", backup->since);
    if (backup->checkpoint)
        g_key_file_set_string(file, GROUP, "Checkpoint", backup->checkpoint);
    for (guint i = 0; i < backup->files->len; i++) {
        const BackupFile *disk = backup->files->pdata[i];
        g_autofree char *group = g_strdup_printf("Disk %s", disk->disk);
        g_key_file_set_string(file, group, "Source", disk->source);
        g_key_file_set_uint64(file, group, "Size", disk->size);
        g_key_file_set_boolean(file, group, "Incremental", disk->incremental);
        g_key_file_set_boolean(file, group, "Checkpoint", disk->checkpoint);
    }
    return g_key_file_to_data(file, NULL, NULL);
}

static char *get_name(GKeyFile *file, const char *key)
{
    g_autofree char *name = g_key_file_get_string(file, GROUP, key, NULL);
    return name && name_check(name, NULL) ? g_steal_pointer(&name) : NULL;
}

static bool read_disk(GKeyFile *file, const char *group, Backup *backup)
{
    const char *name = group + strlen("Disk ");
    if (!device_name_is_valid(name))
        return false;
    BackupFile *disk = backup_add_file(backup, name);
    disk->source = g_key_file_get_string(file, group, "Source", NULL);
    disk->size = g_key_file_get_uint64(file, group, "Size", NULL);
    disk->incremental = g_key_file_get_boolean(file, group, "Incremental", NULL);
    disk->checkpoint = g_key_file_get_boolean(file, group, "Checkpoint", NULL);
    return disk->source && (!disk->incremental || backup->since);
}

/* NULL: it is none. */
static Backup *read_record(const char *path, const char *vm, const char *name)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL) || !g_key_file_has_group(file, GROUP))
        return NULL;
    Backup *backup = backup_new(vm, name);
    backup->created = g_key_file_get_uint64(file, GROUP, "Created", NULL);
    backup->quiesced = g_key_file_get_boolean(file, GROUP, "Quiesced", NULL);
    backup->nvram = g_key_file_get_boolean(file, GROUP, "NVRAM", NULL);
    backup->since = get_name(file, "Since");
    backup->checkpoint = get_name(file, "Checkpoint");
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    bool good = true;
    for (char **group = groups; *group; group++)
        if (g_str_has_prefix(*group, "Disk "))
            good = good && read_disk(file, *group, backup);
    if (good && backup->files->len > 0)
        return backup;
    backup_free(backup);
    return NULL;
}

/* ---- sets ---- */

static gint compare_backups(gconstpointer a, gconstpointer b)
{
    const Backup *x = *(const Backup *const *) a, *y = *(const Backup *const *) b;
    return x->created != y->created ? (x->created > y->created) - (x->created < y->created) : strcmp(x->name, y->name);
}

int backup_set_read(const char *dir, const char *vm, GPtrArray **ret)
{
    g_autofree char *folder = g_build_filename(dir, vm, NULL);
    g_autoptr(GPtrArray) set = g_ptr_array_new_with_free_func(backup_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) entries = g_dir_open(folder, 0, &error);
    const char *name;
    if (!entries && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return report("%s", error->message);
    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(folder, name, RECORD, NULL);
        Backup *backup = name_check(name, NULL) ? read_record(path, vm, name) : NULL;
        if (backup)
            g_ptr_array_add(set, backup);
    }
    g_ptr_array_sort(set, compare_backups);
    *ret = g_steal_pointer(&set);
    return EXIT_DONE;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

int backup_set_vms(const char *dir, GPtrArray **ret)
{
    g_autoptr(GPtrArray) vms = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) entries = g_dir_open(dir, 0, &error);
    const char *name;
    if (!entries)
        return report("%s", error->message);
    while ((name = g_dir_read_name(entries))) {
        g_autoptr(GPtrArray) set = NULL;
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (name_check(name, NULL) && g_file_test(path, G_FILE_TEST_IS_DIR) && backup_set_read(dir, name, &set) == EXIT_DONE && set->len > 0)
            g_ptr_array_add(vms, g_strdup(name));
    }
    g_ptr_array_sort(vms, compare_names);
    *ret = g_steal_pointer(&vms);
    return EXIT_DONE;
}

const Backup *backup_set_find(const GPtrArray *set, const char *name)
{
    for (guint i = 0; i < set->len; i++) {
        const Backup *backup = set->pdata[i];
        if (strcmp(backup->name, name) == 0)
            return backup;
    }
    return NULL;
}

/* ---- one that is made ---- */

static char *part_path(const char *dir, const Backup *backup)
{
    return g_strdup_printf("%s/%s/.%s.part", dir, backup->vm, backup->name);
}

/* Of folders that hold files, and folders of files. */
static void remove_tree(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        close_fd(&fd);
        return;
    }
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(dirfd(dir), entry->d_name);
    (void) closedir(dir);
    (void) unlinkat(parent, name, AT_REMOVEDIR);
}

/* Nobody has the lock of those whose vmctl is gone. */
static void remove_left_over(const char *folder)
{
    g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
    const char *name;
    while (entries && (name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        fd_cleanup int fd = *name == '.' && g_str_has_suffix(name, ".part") ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_tree(AT_FDCWD, path);
    }
}

int backup_set_begin(const char *dir, const Backup *backup)
{
    g_autofree char *folder = g_build_filename(dir, backup->vm, NULL), *path = part_path(dir, backup);
    /* A folder that nobody has made is more likely a file system that is not mounted. */
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return -report_errno(errno, "%s: the folder cannot be made%s", folder, errno == ENOENT ? ", since there is no folder to make it in" : "");
    remove_left_over(folder);
    if (mkdir(path, 0700) < 0)
        return -report_errno(errno, "%s: the folder cannot be made", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = report_errno(errno, "%s: the folder cannot be used", path);
        close_fd(&fd);
        return -r;
    }
    return fd;
}

void backup_set_abandon(const char *dir, const Backup *backup)
{
    g_autofree char *path = part_path(dir, backup), *folder = g_build_filename(dir, backup->vm, NULL);
    remove_tree(AT_FDCWD, path);
    (void) rmdir(folder); /* where it is the first */
}

static int sync_disk(int fd, const char *disk)
{
    g_autofree char *name = backup_file_name(disk);
    fd_cleanup int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
    return file < 0 || fsync(file) < 0 ? -errno : 0;
}

static int sync_disks(const Backup *backup, int fd)
{
    int r = backup->nvram ? sync_disk(fd, NVRAM_DISK) : 0;
    for (guint i = 0; r >= 0 && i < backup->files->len; i++)
        r = sync_disk(fd, ((const BackupFile *) backup->files->pdata[i])->disk);
    return r;
}

int backup_set_keep_tpm(int fd, int memfd)
{
    struct stat st;
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/" TPM, fd);
    if (fstat(memfd, &st) < 0)
        return report_errno(errno, "the TPM's state: it cannot be read");
    if (st.st_size == 0)
        return EXIT_DONE;
    if (st.st_size > TPM_MAX)
        return report("the TPM's state: it is too large to be one");
    g_autofree char *text = g_malloc0((gsize) st.st_size + 1);
    int r = pread(memfd, text, (size_t) st.st_size, 0) == st.st_size ? settings_write(path, text, 0600, true) : -EIO;
    return r < 0 ? report_errno(r, "the TPM's state: it cannot be written") : EXIT_DONE;
}

int backup_set_open_tpm(const char *dir, const Backup *backup, int *ret)
{
    struct stat st;
    g_autofree char *path = g_build_filename(dir, backup->vm, backup->name, TPM, NULL);
    fd_cleanup int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK), memfd = memfd_create("vmd-tpm", MFD_CLOEXEC);
    *ret = -1;
    if (file < 0 && errno == ENOENT)
        return EXIT_DONE;
    if (file < 0 || memfd < 0 || fstat(file, &st) < 0)
        return report_errno(errno, "%s: it cannot be opened", path);
    if (!S_ISREG(st.st_mode) || st.st_size > TPM_MAX)
        return report("%s: it is not what a TPM remembers", path);
    g_autofree char *text = g_malloc0((gsize) st.st_size + 1);
    if (pread(file, text, (size_t) st.st_size, 0) != st.st_size || write(memfd, text, (size_t) st.st_size) != st.st_size)
        return report_errno(errno, "%s: it cannot be read", path);
    *ret = steal_fd(&memfd);
    return EXIT_DONE;
}

int backup_set_commit(const char *dir, const Backup *backup, int fd)
{
    g_autofree char *part = part_path(dir, backup), *path = g_build_filename(dir, backup->vm, backup->name, NULL);
    g_autofree char *record = g_build_filename(part, RECORD, NULL), *text = record_text(backup), *folder = g_build_filename(dir, backup->vm, NULL);
    int r = sync_disks(backup, fd);
    if (r >= 0)
        r = settings_write(record, text, 0600, true);
    if (r >= 0)
        r = fsync(fd) < 0 || renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r < 0)
        return report_errno(r, "%s: it cannot be written to disk", path);
    fd_cleanup int parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void) fsync(parent);
    return EXIT_DONE;
}

/* ---- reading ---- */

static void close_one(void *fd)
{
    close_fd(fd);
}

int backup_set_open(const char *dir, const GPtrArray *set, const Backup *backup, const char *disk, GArray **ret)
{
    g_autoptr(GArray) fds = g_array_new(false, false, sizeof(int));
    g_autofree char *name = backup_file_name(disk);
    g_array_set_clear_func(fds, close_one);
    for (const Backup *one = backup; one;) {
        g_autofree char *path = g_build_filename(dir, one->vm, one->name, name, NULL);
        const BackupFile *file = backup_find_file(one, disk);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
        if (fd < 0)
            return report_errno(errno, "%s: it cannot be opened", path);
        g_array_append_val(fds, fd);
        if (!file || !file->incremental)
            break;
        const Backup *below = backup_set_find(set, one->since);
        if (!below || !backup_find_file(below, disk) || fds->len > CHAIN_MAX)
            return report("Backup \"%s\": it holds what has changed since \"%s\", which is not there", one->name, one->since);
        one = below;
    }
    *ret = g_steal_pointer(&fds);
    return EXIT_DONE;
}
