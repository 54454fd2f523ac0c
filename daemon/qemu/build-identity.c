/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build-facts.h"
#include "cleanup.h"

static uint64_t mix(uint64_t sum, uint64_t value)
{
    sum ^= value + 0x9e3779b97f4a7c15U + (sum << 6) + (sum >> 2);
    return sum * 0xbf58476d1ce4e5b9U;
}

/* Where distributions and QEMU's own build put modules, seen from the program's prefix. */
static uint64_t modules_sum(int root_fd, const char *program)
{
    g_autofree char *real = root_fd < 0 ? realpath(program, NULL) : NULL;
    g_autofree char *folder = g_path_get_dirname(real ?: program);
    g_autofree char *prefix = g_path_get_dirname(folder);
    struct utsname host = {};
    uint64_t sum = 1;

    (void) uname(&host);
    g_autofree char *triplet = g_strdup_printf("lib/%s-linux-gnu", host.machine);
    const char *libraries[] = {"lib", "lib64", triplet}, *names[] = {"qemu", "qemu-kvm"};

    for (size_t i = 0; i < G_N_ELEMENTS(libraries); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autofree char *path = g_build_filename(prefix, libraries[i], names[j], NULL);
            struct stat st = {};
            FileIdentity id = {};

            if (tree_stat(root_fd, path, &st) == 0)
                id = file_identity_of(&st);
            sum = mix(mix(mix(sum, id.device), id.inode), id.mtime_nsec);
        }
    /* JSON has no unsigned 64 bits. */
    return sum >> 1;
}

char *build_identity_thing(const char *root, const char *path)
{
    return g_strdup_printf("QEMU binary \"%s\"%s%s", path, root ? " of " : "", root ?: "");
}

bool build_identity_read(const QemuTree *tree, const char *path, BuildIdentity *ret, Error **ret_error)
{
    static const char remedy[] = "Install QEMU, or let Binary= name one that is there";
    const FileIdentity *image = qemu_tree_image(tree);
    g_autofree char *thing = build_identity_thing(qemu_tree_root(tree), path);
    struct stat st;
    int r;

    if (!g_path_is_absolute(path) || strlen(path) >= PATH_MAX)
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, NULL, "the path must be absolute");
    r = tree_stat(qemu_tree_fd(tree), path, &st);
    if (r == -ENOENT || r == -ENOTDIR)
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, remedy, "there is no such file");
    if (r < 0)
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, NULL, "it cannot be looked at: %s", g_strerror(-r));
    if (S_ISDIR(st.st_mode))
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, remedy, "it is a folder, not a program");
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, remedy, "it is no regular file");
    if (!(st.st_mode & 0111))
        return error_set(ret_error, ERROR_QEMU_FAILED, thing, NULL, "it is not executable");

    *ret = (BuildIdentity){
            .root = g_strdup(qemu_tree_root(tree)),
            .image = image,
            .path = g_strdup(path),
            .file = image ? *image : file_identity_of(&st),
            .modules = image ? 0 : modules_sum(qemu_tree_fd(tree), path),
    };
    return true;
}

void build_identity_add_program(BuildIdentity *identity, pid_t pid)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int) pid);
    char program[PATH_MAX];
    FileIdentity id;
    struct stat st;
    ssize_t n;

    if (identity->root)
        return; /* a guard is what was started */
    n = readlink(link, program, sizeof program - 1);
    if (n <= 0 || stat(link, &st) < 0)
        return;
    program[n] = '\0';
    id = file_identity_of(&st);
    if (file_identity_equal(&id, &identity->file))
        return;
    g_free(identity->program);
    identity->program = g_strdup(program);
    identity->program_file = id;
    identity->modules = modules_sum(-1, program);
}

static bool program_holds(const BuildIdentity *identity, int root_fd)
{
    struct stat st;
    FileIdentity id;

    if (tree_stat(root_fd, identity->path, &st) < 0)
        return false;
    id = file_identity_of(&st);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111) || !file_identity_equal(&id, &identity->file))
        return false;
    if (identity->program) {
        if (stat(identity->program, &st) < 0)
            return false;
        id = file_identity_of(&st);
        if (!file_identity_equal(&id, &identity->program_file))
            return false;
    }
    return modules_sum(root_fd, identity->program ?: identity->path) == identity->modules;
}

bool build_identity_holds(const BuildIdentity *identity)
{
    fd_cleanup int root_fd = -1;
    struct stat st;
    FileIdentity id;

    if (!identity->root)
        return program_holds(identity, -1);
    if (identity->image) {
        if (stat(identity->root, &st) < 0)
            return false;
        id = file_identity_of(&st);
        return file_identity_equal(&id, &identity->file);
    }
    root_fd = open(identity->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return root_fd >= 0 && program_holds(identity, root_fd);
}

bool build_identity_is_at(const BuildIdentity *identity, const char *root, const char *path)
{
    return g_strcmp0(identity->root, root) == 0 && strcmp(identity->path, path) == 0;
}

bool build_identity_equal(const BuildIdentity *a, const BuildIdentity *b)
{
    return build_identity_is_at(a, b->root, b->path) && a->image == b->image && file_identity_equal(&a->file, &b->file) && a->modules == b->modules;
}

void build_identity_copy(BuildIdentity *to, const BuildIdentity *from)
{
    *to = *from;
    to->root = g_strdup(from->root);
    to->path = g_strdup(from->path);
    to->program = g_strdup(from->program);
}

void build_identity_clear(BuildIdentity *identity)
{
    g_free(identity->root);
    g_free(identity->path);
    g_free(identity->program);
    *identity = (BuildIdentity){};
}

bool build_name_is_sound(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n >= 1 && n <= 32 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}
