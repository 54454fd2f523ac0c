/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dirs.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

static char *xdg_dir(const char *variable, const char *fallback)
{
    const char *dir = g_getenv(variable);
    if (dir && g_path_is_absolute(dir))
        return g_build_filename(dir, "vmd", NULL);
    return g_build_filename(g_get_home_dir(), fallback, "vmd", NULL);
}

static bool make_dir(const char *path, mode_t mode, Error **ret_error)
{
    if (g_mkdir_with_parents(path, mode) < 0)
        return error_set_errno(ret_error, errno, path, "the folder cannot be made");
    return true;
}

Dirs *dirs_new(bool user, Error **ret_error)
{
    g_autoptr(Dirs) dirs = g_new0(Dirs, 1);
    if (user) {
        const char *runtime = g_getenv("XDG_RUNTIME_DIR");
        if (!runtime || !g_path_is_absolute(runtime)) {
            error_set(ret_error, ERROR_FAILED, "XDG_RUNTIME_DIR", "Log in through a session, or run 'loginctl enable-linger'",
                "it is not set, so there is no place for what runs");
            return NULL;
        }
        dirs->settings = xdg_dir("XDG_CONFIG_HOME", ".config");
        dirs->runtime = g_build_filename(runtime, "vmd", NULL);
        dirs->state = xdg_dir("XDG_STATE_HOME", ".local/state");
        dirs->cache = xdg_dir("XDG_CACHE_HOME", ".cache");
    } else {
        dirs->settings = g_strdup(SYSCONF_DIR);
        dirs->runtime = g_strdup("/run/vmd");
        dirs->state = g_strdup(STATE_DIR);
        dirs->cache = g_strdup(CACHE_DIR);
    }
    dirs->instances = g_build_filename(dirs->runtime, "vm", NULL);
    dirs->last = g_build_filename(dirs->runtime, "last", NULL);
    dirs->networks = g_build_filename(dirs->runtime, "network", NULL);
    dirs->ports = g_build_filename(dirs->runtime, "port", NULL);
    dirs->pools = g_build_filename(dirs->state, "pools", NULL);
    dirs->saved = g_build_filename(dirs->state, "saved", NULL);
    dirs->tpm = g_build_filename(dirs->state, "tpm", NULL);
    dirs->nvram = g_build_filename(dirs->state, "nvram", NULL);

    if (!make_dir(dirs->settings, 0755, ret_error) || !make_dir(dirs->runtime, 0755, ret_error) ||
        !make_dir(dirs->instances, 0700, ret_error) || !make_dir(dirs->last, 0700, ret_error) || !make_dir(dirs->networks, 0755, ret_error) ||
        !make_dir(dirs->ports, 0700, ret_error) || !make_dir(dirs->state, 0755, ret_error) ||
        !make_dir(dirs->saved, 0700, ret_error) || !make_dir(dirs->tpm, 0700, ret_error) || !make_dir(dirs->pools, 0711, ret_error) || !make_dir(dirs->nvram, 0711, ret_error) || !make_dir(dirs->cache, 0755, ret_error))
        return NULL;
    return g_steal_pointer(&dirs);
}

void dirs_free(Dirs *dirs)
{
    if (!dirs)
        return;
    g_free(dirs->settings);
    g_free(dirs->runtime);
    g_free(dirs->instances);
    g_free(dirs->last);
    g_free(dirs->networks);
    g_free(dirs->ports);
    g_free(dirs->state);
    g_free(dirs->saved);
    g_free(dirs->tpm);
    g_free(dirs->nvram);
    g_free(dirs->pools);
    g_free(dirs->cache);
    g_free(dirs);
}

void dirs_remove(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        (void) unlink(file);
    }
    (void) rmdir(path);
}
