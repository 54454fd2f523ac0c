/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "error.h"
#include "name.h"

#define LONG_64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

static void valid_names(void)
{
    static const char *const names[] = {"a", "web", "Web-1", "0", "a.b_c-d", "x..y", LONG_64};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(Error) error = NULL;

        g_assert_true(name_is_valid(names[i]));
        g_assert_true(name_check(names[i], &error));
        g_assert_null(error);
    }
}

static void hostile_names(void)
{
    static const char *const names[] = {"", ".", "..", ".hidden", "-a", "_a", "a/b", "../../etc/passwd",
            "/etc/x", "a b", "a\n", "a\x1b[31m", "a@b", "a:b", "a%b", "a\\x2d", "ü", "\xff\xfe", "a\xc3",
            "a;rm", "a$(x)", "a*", "a,b", "a=b", LONG_64 "e"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(Error) error = NULL;
        g_autofree char *message = NULL;

        g_assert_false(name_is_valid(names[i]));
        g_assert_false(name_check(names[i], &error));
        g_assert_cmpint(error->code, ==, ERROR_INVALID_NAME);
        message = error_message(error);
        g_assert_nonnull(strstr(message, "Allowed are"));
        g_assert_true(g_utf8_validate(message, -1, NULL));
        for (const char *p = message; *p != '\0'; p++)
            g_assert_false(g_ascii_iscntrl(*p));
    }
    g_assert_false(name_is_valid(NULL));
    g_assert_false(name_check(NULL, NULL));
}

static void endless_name(void)
{
    g_autofree char *name = g_strnfill(1 << 20, 'a');
    g_autoptr(Error) error = NULL;
    g_autofree char *message = NULL;

    g_assert_false(name_check(name, &error));
    message = error_message(error);
    g_assert_cmpuint(strlen(message), <, 400);
    g_assert_nonnull(strstr(message, "1048576 bytes long, at most 64"));
}

static void sources(void)
{
    static const char *const others[] = {"", "/", "x", "x/", "/x", "a/b/c", "./x", "a b/c", "a/../c", "a/..", "a/.x", "a.b/c",
            "a/x.part", "a/b\nc", "default/" LONG_64 LONG_64 "e"};
    g_autofree char *pool = NULL, *volume = NULL;

    g_assert_true(name_split_source("default/web.qcow2", &pool, &volume));
    g_assert_cmpstr(pool, ==, "default");
    g_assert_cmpstr(volume, ==, "web.qcow2");
    g_assert_true(name_split_source("a-1/" LONG_64 LONG_64, NULL, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        g_assert_false(name_split_source(others[i], NULL, NULL));
}

static void device_names(void)
{
    g_assert_true(device_name_is_valid("root"));
    g_assert_true(device_name_is_valid("disk_0-a"));
    g_assert_true(device_name_is_valid("abcdefghijklmnopqrstuvwxyz012345"));
    g_assert_false(device_name_is_valid("abcdefghijklmnopqrstuvwxyz0123456"));
    g_assert_false(device_name_is_valid("a.b"));
    g_assert_false(device_name_is_valid(""));
    g_assert_false(device_name_is_valid("a b"));
}

static void systemd_and_bus_names(void)
{
    g_autofree char *scope = name_to_scope("web"), *service = name_to_service("web"),
                    *path = name_to_vm_path("web"), *odd_path = name_to_vm_path("0a.b-c"),
                    *back = name_from_scope("vm-a.b-c.scope");
    static const char *const foreign[] = {"vm-.scope", "vm-web.service", "web.scope", "vm-a@b.scope",
            "vm-..scope", "vm-", ".scope", "", "vm.scope", "vm-\xff.scope"};

    g_assert_cmpstr(scope, ==, "vm-web.scope");
    g_assert_cmpstr(service, ==, "vm@web.service");
    g_assert_cmpstr(path, ==, "/org/vmd1/vm/web");
    g_assert_cmpstr(odd_path, ==, "/org/vmd1/vm/_30a_2eb_2dc");
    g_assert_cmpstr(back, ==, "a.b-c");
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
        g_assert_null(name_from_scope(foreign[i]));
    g_assert_null(name_from_scope(NULL));
}

static void suggestions(void)
{
    static const char *const keys[] = {"Memory", "CPUs", "Machine", "UUID", NULL};
    g_autofree char *endless = g_strnfill(100000, 'M');

    g_assert_cmpstr(name_nearest("Memroy", keys), ==, "Memory");
    g_assert_cmpstr(name_nearest("memory", keys), ==, "Memory");
    g_assert_cmpstr(name_nearest("Cpu", keys), ==, "CPUs");
    g_assert_cmpstr(name_nearest("Machin", keys), ==, "Machine");
    g_assert_null(name_nearest("Banana", keys));
    g_assert_null(name_nearest("", keys));
    g_assert_null(name_nearest(endless, keys));
}

static void errors(void)
{
    g_autoptr(Error) error = NULL, copy = NULL, from_errno = NULL, taken = NULL;
    g_autofree char *message = NULL, *errno_message = NULL;

    g_assert_false(error_set(NULL, ERROR_FAILED, NULL, NULL, "nobody cares"));
    g_assert_false(error_set(&error, ERROR_BUSY, "VM \"web\"", "Wait.", "it is %s\n\x1b", "busy"));
    /* The first cause is the one that matters. */
    g_assert_false(error_set(&error, ERROR_FAILED, "other", NULL, "later"));
    g_assert_false(error_set_errno(&error, ENOENT, "other", "later"));
    copy = error_copy(error);
    message = error_message(copy);
    g_assert_cmpstr(message, ==, "VM \"web\": it is busy  . Wait.");
    g_assert_cmpint(copy->code, ==, ERROR_BUSY);

    g_assert_false(error_set_errno(&from_errno, -ENOENT, "/x", "it cannot be opened"));
    errno_message = error_message(from_errno);
    g_assert_cmpstr(errno_message, ==, "/x: it cannot be opened: No such file or directory");
    g_assert_cmpint(from_errno->code, ==, ERROR_FAILED);
    g_clear_pointer(&from_errno, error_free);
    error_set_errno(&from_errno, EOPNOTSUPP, NULL, "x");
    g_assert_cmpint(from_errno->code, ==, ERROR_UNSUPPORTED);

    g_assert_false(error_propagate(&taken, g_steal_pointer(&error)));
    g_assert_cmpint(taken->code, ==, ERROR_BUSY);
    g_assert_false(error_propagate(&taken, error_copy(from_errno)));
    g_assert_cmpint(taken->code, ==, ERROR_BUSY);
    g_assert_false(error_propagate(NULL, error_copy(from_errno)));
}

static void error_names(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned code = 0; code < _ERROR_CODE_MAX; code++) {
        const char *name = error_code_to_dbus(code);

        g_assert_true(g_str_has_prefix(name, "org.vmd1.Error."));
        g_assert_true(g_hash_table_add(seen, (void *) name));
        g_assert_cmpuint(error_code_from_dbus(name), ==, code);
    }
    g_assert_cmpint(error_code_from_dbus("org.freedesktop.DBus.Error.NoReply"), ==, ERROR_FAILED);
    g_assert_cmpint(error_code_from_dbus(NULL), ==, ERROR_FAILED);
    g_assert_cmpstr(error_code_to_dbus(ERROR_NO_SUCH_VM), ==, "org.vmd1.Error.NoSuchVM");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/name/valid", valid_names);
    g_test_add_func("/name/hostile", hostile_names);
    g_test_add_func("/name/endless", endless_name);
    g_test_add_func("/name/device", device_names);
    g_test_add_func("/name/sources", sources);
    g_test_add_func("/name/systemd-and-bus", systemd_and_bus_names);
    g_test_add_func("/name/suggestions", suggestions);
    g_test_add_func("/name/errors", errors);
    g_test_add_func("/name/error-names", error_names);
    return g_test_run();
}
