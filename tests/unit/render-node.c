/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Render nodes in a /dev of the test's own. No test may rely on one that works, since few machines have a graphics processor. */
#include "render-node.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fake-root.h"

typedef struct Fixture {
    char *root, *dir;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    f->root = g_dir_make_tmp("vmd-render-node-XXXXXX", NULL);
    f->dir = g_build_filename(f->root, "dev/dri", NULL);
    g_assert_cmpint(g_mkdir_with_parents(f->dir, 0755), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    remove_tree(f->root);
    g_free(f->dir);
    g_free(f->root);
}

static void expect_error(const Fixture *f, const char *path, ErrorCode code, const char *text)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *name = render_node_find(f->root, path, &error), *message = NULL;
    g_assert_null(name);
    g_assert_nonnull(error);
    message = error_message(error);
    g_test_message("%s", message);
    g_assert_cmpint(error->code, ==, code);
    g_assert_nonnull(strstr(message, text));
}

static void says_that_there_is_none(Fixture *f, gconstpointer unused)
{
    g_autofree char *absent = g_build_filename(f->dir, "renderD128", NULL);
    expect_error(f, NULL, ERROR_UNSUPPORTED, "this host has no render node");
    expect_error(f, absent, ERROR_FAILED, "No such file");
}

static void opens_nothing_else(Fixture *f, gconstpointer unused)
{
    g_autofree char *first = g_build_filename(f->dir, "renderD128", NULL), *second = g_build_filename(f->dir, "renderD129", NULL);
    expect_error(f, "/dev/null", ERROR_INVALID_SETTINGS, "is no render node");
    g_assert_true(g_file_set_contents(first, "", 0, NULL));
    expect_error(f, NULL, ERROR_INVALID_SETTINGS, "renderD128: it is no render node");
    expect_error(f, first, ERROR_INVALID_SETTINGS, "is no render node");
    g_assert_cmpint(unlink(first), ==, 0);
    /* A number that no driver has; where nodes cannot be made or used, another reason. */
    if (mknod(second, S_IFCHR | 0600, makedev(226, 191)) < 0)
        return g_test_skip("no device can be made");
    g_autoptr(Error) error = NULL;
    g_autofree char *name = render_node_find(f->root, NULL, &error);
    g_assert_null(name);
    g_assert_nonnull(strstr(error->thing, "renderD129"));
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/render-node/says-that-there-is-none", Fixture, NULL, set_up, says_that_there_is_none, tear_down);
    g_test_add("/render-node/opens-nothing-else", Fixture, NULL, set_up, opens_nothing_else, tear_down);
    return g_test_run();
}
