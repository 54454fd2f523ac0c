/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Folders in which tests of device/ make a sysfs of their own. */

#include <glib.h>
#include <stdio.h>

/* The folder and all below it; no link is followed. */
static inline void remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);
        remove_tree(below);
    }
    (void) remove(path);
}
