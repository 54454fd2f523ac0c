/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "settings.h"

/* Each test has a folder of its own, which goes with it. */
typedef struct Folder {
    char *path, *vm;
} Folder;

static void folder_set_up(Folder *f, const void *unused)
{
    f->path = g_dir_make_tmp("settings-XXXXXX", NULL);
    g_assert_nonnull(f->path);
    f->vm = g_build_filename(f->path, "web.vm", NULL);
}

static void folder_tear_down(Folder *f, const void *unused)
{
    const char *argv[] = {"rm", "-rf", f->path, NULL};

    g_assert_true(g_spawn_sync(
            NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(f->path);
    g_free(f->vm);
}

static void put(const Folder *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->path, name, NULL), *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void check_fails(const Folder *f, const char *thing, const char *cause, ErrorCode code)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *expected = g_build_filename(f->path, thing, NULL);

    g_assert_null(settings_load(&vm_schema, f->vm, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(error->code, ==, code);
    g_assert_cmpstr(error->thing, ==, expected);
    if (!strstr(error->cause, cause))
        g_error("expected \"%s\", got \"%s\"", cause, error->cause);
}

static void drop_ins(Folder *f, const void *unused)
{
    g_autoptr(Settings) s = NULL;
    g_autofree const char **disks = NULL;
    g_autofree char *origin = g_build_filename(f->path, "web.vm.d", "20-b.conf:2", NULL),
                    *own = g_build_filename(f->path, "web.vm:2", NULL);
    const char *const *words;

    put(f, "web.vm", "[VM]\nCPUs=1\nMemory=1G\nDescription=x\n[QEMU]\nArguments=-a\n[Disk a]\nFormat=raw\n");
    put(f, "web.vm.d/20-b.conf", "[VM]\nMemory=3G\nDescription=\n[Disk b]\nSource=/b\n[Disk a]\nSource=/a\n");
    put(f, "web.vm.d/10-a.conf", "[VM]\nMemory=2G\n[QEMU]\nArguments=-b\n[Scope]\nDeviceAllow=/dev/null\n");
    put(f, "web.vm.d/30.txt", "not read");
    put(f, "web.vm.d/.40.conf", "not read");

    s = settings_load(&vm_schema, f->vm, NULL);
    g_assert_nonnull(s);
    g_assert_cmpuint(settings_get_number(s, "VM", "CPUs"), ==, 1);
    g_assert_cmpuint(settings_get_number(s, "VM", "Memory"), ==, UINT64_C(3) << 30);
    g_assert_false(settings_has(s, "VM", "Description"));
    g_assert_cmpstr(settings_origin(s, "VM", "Memory"), ==, origin);
    g_assert_cmpstr(settings_origin(s, "VM", "CPUs"), ==, own);
    words = settings_get_words(s, "QEMU", "Arguments");
    g_assert_cmpstr(words[0], ==, "-a");
    g_assert_cmpstr(words[1], ==, "-b");
    disks = settings_sections(s, "Disk");
    g_assert_cmpstr(disks[0], ==, "Disk a");
    g_assert_cmpstr(disks[1], ==, "Disk b");
    g_assert_cmpstr(settings_get_string(s, "Disk a", "Source"), ==, "/a");
}

static void bad_drop_ins(Folder *f, const void *unused)
{
    g_autofree char *link = g_build_filename(f->path, "web.vm.d", "5.conf", NULL);

    put(f, "web.vm", "[VM]\n");
    put(f, "web.vm.d/10.conf", "[VM]\n\nCPUs=many\n");
    check_fails(f, "web.vm.d/10.conf:3", "no valid value", ERROR_INVALID_SETTINGS);
    g_assert_cmpint(symlink("10.conf", link), ==, 0);
    put(f, "web.vm.d/10.conf", "[VM]\n");
    check_fails(f, "web.vm.d/5.conf", "symbolic link", ERROR_INVALID_SETTINGS);
    g_assert_cmpint(unlink(link), ==, 0);
    for (unsigned i = 0; i < 128; i++) {
        g_autofree char *name = g_strdup_printf("web.vm.d/x%u.conf", i);
        put(f, name, "");
    }
    check_fails(f, "web.vm.d", "more than 128 drop-ins", ERROR_INVALID_SETTINGS);
}

static void drop_in_folder_is_none(Folder *f, const void *unused)
{
    put(f, "web.vm", "[VM]\n");
    put(f, "web.vm.d", "[VM]\n");
    check_fails(f, "web.vm.d", "not a directory", ERROR_INVALID_SETTINGS);
}

static void no_file(Folder *f, const void *unused)
{
    check_fails(f, "web.vm", "does not exist", ERROR_FAILED);
}

static void directory(Folder *f, const void *unused)
{
    g_assert_cmpint(mkdir(f->vm, 0755), ==, 0);
    check_fails(f, "web.vm", "this is a directory", ERROR_INVALID_SETTINGS);
}

static void fifo(Folder *f, const void *unused)
{
    g_assert_cmpint(mkfifo(f->vm, 0644), ==, 0);
    alarm(10);
    check_fails(f, "web.vm", "this is a FIFO", ERROR_INVALID_SETTINGS);
    alarm(0);
}

static void socket_file(Folder *f, const void *unused)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, f->vm, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof(address)), ==, 0);
    check_fails(f, "web.vm", "not a regular file", ERROR_INVALID_SETTINGS);
    close(fd);
}

static void symlinks(Folder *f, const void *unused)
{
    g_assert_cmpint(symlink("web.vm", f->vm), ==, 0);
    check_fails(f, "web.vm", "symbolic link", ERROR_INVALID_SETTINGS);
    g_assert_cmpint(unlink(f->vm), ==, 0);
    put(f, "real.vm", "[VM]\n");
    g_assert_cmpint(symlink("real.vm", f->vm), ==, 0);
    check_fails(f, "web.vm", "symbolic link", ERROR_INVALID_SETTINGS);
}

static void unreadable(Folder *f, const void *unused)
{
    put(f, "web.vm", "[VM]\n");
    g_assert_cmpint(chmod(f->vm, 0), ==, 0);
    if (geteuid() == 0) {
        /* Root reads all: become nobody for a moment. */
        g_assert_cmpint(chmod(f->path, 0755), ==, 0);
        g_assert_cmpint(seteuid(65534), ==, 0);
        check_fails(f, "web.vm", "may not be read", ERROR_INVALID_SETTINGS);
        g_assert_cmpint(seteuid(0), ==, 0);
    } else
        check_fails(f, "web.vm", "may not be read", ERROR_INVALID_SETTINGS);
}

static void huge(Folder *f, const void *unused)
{
    /* A hole of 100 MB, and a file of the kernel that says nothing of its size. */
    put(f, "web.vm", "");
    g_assert_cmpint(truncate(f->vm, 100 << 20), ==, 0);
    check_fails(f, "web.vm", "more than 262144 bytes", ERROR_INVALID_SETTINGS);
    g_assert_cmpint(truncate(f->vm, SETTINGS_FILE_MAX), ==, 0);
    check_fails(f, "web.vm:1", "NUL byte", ERROR_INVALID_SETTINGS);
}

static void endless_file_of_the_kernel(void)
{
    g_autoptr(Error) error = NULL;

    if (access("/proc/kallsyms", R_OK) < 0) {
        g_test_skip("no /proc/kallsyms");
        return;
    }
    /* Its size is said to be 0, and it is larger than the limit. */
    g_assert_null(settings_load(&vm_schema, "/proc/kallsyms", &error));
    g_assert_nonnull(strstr(error->cause, "more than 262144 bytes"));
}

static void writes(Folder *f, const void *unused)
{
    g_autofree char *text = NULL, *nowhere = g_build_filename(f->path, "no", "web.vm", NULL);
    struct stat st;
    g_autoptr(GDir) dir = NULL;

    g_assert_cmpint(settings_write(f->vm, "[VM]\n", 0640, true), ==, 0);
    g_assert_cmpint(settings_write(f->vm, "[Boot]\n", 0640, true), ==, -EEXIST);
    g_assert_true(g_file_get_contents(f->vm, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "[VM]\n");
    g_assert_cmpint(stat(f->vm, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
    g_assert_cmpuint(st.st_nlink, ==, 1);

    g_assert_cmpint(settings_write(f->vm, "[Boot]\n", 0600, false), ==, 0);
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(f->vm, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "[Boot]\n");
    g_assert_cmpint(settings_write(nowhere, "", 0600, false), ==, -ENOENT);

    /* Nothing is left beside it. */
    dir = g_dir_open(f->path, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(dir), ==, "web.vm");
    g_assert_null(g_dir_read_name(dir));
}

static void failed_write(Folder *f, const void *unused)
{
    g_autoptr(GDir) dir = NULL;

    /* A directory in the way: the rename fails, the temporary file goes. */
    g_assert_cmpint(mkdir(f->vm, 0755), ==, 0);
    g_assert_cmpint(settings_write(f->vm, "[VM]\n", 0600, false), ==, -EISDIR);
    g_assert_cmpint(settings_write(f->vm, "[VM]\n", 0600, true), ==, -EEXIST);
    dir = g_dir_open(f->path, 0, NULL);
    g_assert_cmpstr(g_dir_read_name(dir), ==, "web.vm");
    g_assert_null(g_dir_read_name(dir));
}

static void *write_often(void *vm)
{
    g_autofree char *a = g_strnfill(100000, '#'), *b = g_strnfill(50000, '#');
    int r = 0;

    for (unsigned i = 0; i < 200 && r == 0; i++)
        r = settings_write(vm, i % 2 ? a : b, 0600, false);
    return GINT_TO_POINTER(r);
}

/* Somebody who reads while it is written sees one text or the other, never a part. */
static void write_is_atomic(Folder *f, const void *unused)
{
    g_autofree char *a = g_strnfill(100000, '#');
    bool seen[2] = {false, false};
    GThread *writer;

    g_assert_cmpint(settings_write(f->vm, a, 0600, true), ==, 0);
    writer = g_thread_new("writer", write_often, f->vm);
    for (unsigned i = 0; i < 100000 && !(seen[0] && seen[1]); i++) {
        g_autofree char *text = NULL;
        gsize length;

        g_assert_true(g_file_get_contents(f->vm, &text, &length, NULL));
        g_assert_true(length == 100000 || length == 50000);
        seen[length == 50000] = true;
    }
    g_assert_cmpint(GPOINTER_TO_INT(g_thread_join(writer)), ==, 0);
    g_assert_true(seen[0] && seen[1]);
}

#define ADD(name, function)                                                                                  \
    g_test_add("/settings-file/" name, Folder, NULL, folder_set_up, function, folder_tear_down)

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    ADD("drop-ins", drop_ins);
    ADD("bad-drop-ins", bad_drop_ins);
    ADD("drop-in-folder-is-none", drop_in_folder_is_none);
    ADD("no-file", no_file);
    ADD("directory", directory);
    ADD("fifo", fifo);
    ADD("socket", socket_file);
    ADD("symlinks", symlinks);
    ADD("unreadable", unreadable);
    ADD("huge", huge);
    g_test_add_func("/settings-file/endless-file-of-the-kernel", endless_file_of_the_kernel);
    ADD("writes", writes);
    ADD("failed-write", failed_write);
    ADD("write-is-atomic", write_is_atomic);
    return g_test_run();
}
