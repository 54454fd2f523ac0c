/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <string.h>

#include "settings.h"

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void check_edit(const char *text, const SettingsChange *changes, size_t n, const char *expected)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *result = settings_edit(&vm_schema, text, changes, n, "x.vm", &error);

    if (!result) {
        g_autofree char *message = error_message(error);
        g_error("%s", message);
    }
    g_assert_cmpstr(result, ==, expected);
}

static void check_one(const char *text, SettingsChange change, const char *expected)
{
    check_edit(text, &change, 1, expected);
}

static void check_refused(const char *text, SettingsChange change, const char *cause)
{
    g_autoptr(Error) error = NULL;

    g_assert_null(settings_edit(&vm_schema, text, &change, 1, "x.vm", &error));
    g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    if (!strstr(error->cause, cause))
        g_error("expected \"%s\", got \"%s\"", cause, error->cause);
}

static const char web[] = "# The web server.\n"
                          "\n"
                          "[VM]\n"
                          "# how many\n"
                          "  CPUs = 2\n"
                          "Memory=2G\n"
                          "# Memory=8G in summer\n"
                          "\n"
                          "\n"
                          "# the root disk\n"
                          "[Disk root]\n"
                          "Source=/r\n"
                          "\n"
                          "# more data\n"
                          "[Disk data]\n"
                          "Source=/d\n";

static void change_in_place(void)
{
    check_one(web, (SettingsChange){"VM", "CPUs", VALUES("4")},
            "# The web server.\n\n[VM]\n# how many\nCPUs=4\nMemory=2G\n# Memory=8G in summer\n\n\n"
            "# the root disk\n[Disk root]\nSource=/r\n\n# more data\n[Disk data]\nSource=/d\n");
}

static void new_key(void)
{
    /* Behind the comment that belongs to the section, before the one that belongs to the next. */
    check_one(web, (SettingsChange){"VM", "Accelerator", VALUES("tcg")},
            "# The web server.\n\n[VM]\n# how many\n  CPUs = 2\nMemory=2G\n# Memory=8G in "
            "summer\nAccelerator=tcg\n\n\n"
            "# the root disk\n[Disk root]\nSource=/r\n\n# more data\n[Disk data]\nSource=/d\n");
    check_one("[VM]\nCPUs=1\n# a disk\n[Disk a]\nSource=/a\n", (SettingsChange){"VM", "Memory", VALUES("1G")},
            "[VM]\nCPUs=1\nMemory=1G\n# a disk\n[Disk a]\nSource=/a\n");
    check_one("[VM]\n[Boot]\n", (SettingsChange){"VM", "Memory", VALUES("1G")}, "[VM]\nMemory=1G\n[Boot]\n");
    check_one("[VM]", (SettingsChange){"VM", "Memory", VALUES("1G")}, "[VM]\nMemory=1G\n");
    check_one("[VM]\nCPUs=1\n[Boot]\n[VM]\nMemory=1G\n", (SettingsChange){"VM", "OnPanic", VALUES("stop")},
            "[VM]\nCPUs=1\n[Boot]\n[VM]\nMemory=1G\nOnPanic=stop\n");
}

static void new_section(void)
{
    check_one("", (SettingsChange){"VM", "Memory", VALUES("1G")}, "[VM]\nMemory=1G\n");
    check_one("[VM]\nCPUs=1", (SettingsChange){"Disk a", "Source", VALUES("/a")},
            "[VM]\nCPUs=1\n\n[Disk a]\nSource=/a\n");
    check_one("# nothing yet\n\n", (SettingsChange){"VM", "Memory", VALUES("1G")},
            "# nothing yet\n\n[VM]\nMemory=1G\n");
    check_edit("",
            (const SettingsChange[]){{"VM", "Memory", VALUES("1G")}, {"Disk a", "Format", VALUES("raw")},
                    {"VM", "CPUs", VALUES("1")}, {"Disk a", "Source", VALUES("/a")}},
            4, "[VM]\nMemory=1G\nCPUs=1\n\n[Disk a]\nFormat=raw\nSource=/a\n");
}

static void removals(void)
{
    check_one(web, (SettingsChange){"VM", "Memory", NULL},
            "# The web server.\n\n[VM]\n# how many\n  CPUs = 2\n# Memory=8G in summer\n\n\n"
            "# the root disk\n[Disk root]\nSource=/r\n\n# more data\n[Disk data]\nSource=/d\n");
    check_one(web, (SettingsChange){"Disk root", NULL, NULL},
            "# The web server.\n\n[VM]\n# how many\n  CPUs = 2\nMemory=2G\n# Memory=8G in summer\n\n\n"
            "# the root disk\n\n# more data\n[Disk data]\nSource=/d\n");
    check_one("[VM]\n\n[Disk a]\nSource=/a\n", (SettingsChange){"Disk a", NULL, NULL}, "[VM]\n");
    check_one("[VM]\nCPUs=1\n[Boot]\n[VM]\nMemory=1G\n", (SettingsChange){"VM", NULL, NULL}, "[Boot]\n");
    check_one("[Boot]\n# for VM\n[VM]\n", (SettingsChange){"Boot", NULL, NULL}, "# for VM\n[VM]\n");
    /* What is not there need not be removed. */
    check_one(web, (SettingsChange){"VM", "UUID", NULL}, web);
    check_one(web, (SettingsChange){"Disk other", NULL, NULL}, web);
    check_one(web, (SettingsChange){"VM", "UUID", (const char *const[]){NULL}}, web);
}

static void repeated_lines(void)
{
    static const char text[] = "[QEMU]\nArguments=-a\n# why\nArguments=-b\nArguments=-c\nBinary=/q\n";

    check_one(text, (SettingsChange){"QEMU", "Arguments", VALUES("-x", "-y")},
            "[QEMU]\nArguments=-x\n# why\nArguments=-y\nBinary=/q\n");
    check_one(text, (SettingsChange){"QEMU", "Arguments", VALUES("1", "2", "3", "4", "5")},
            "[QEMU]\nArguments=1\n# why\nArguments=2\nArguments=3\nArguments=4\nArguments=5\nBinary=/q\n");
    check_one(text, (SettingsChange){"QEMU", "Arguments", NULL}, "[QEMU]\n# why\nBinary=/q\n");
    /* The last change of a key counts. */
    check_edit("[VM]\n",
            (const SettingsChange[]){{"Scope", "DeviceAllow", VALUES("/dev/a", "/dev/b")},
                    {"Scope", "DeviceAllow", VALUES("/dev/c")}, {"VM", "CPUs", VALUES("1")},
                    {"VM", "CPUs", NULL}},
            4, "[VM]\n\n[Scope]\nDeviceAllow=/dev/c\n");
}

static void line_ends(void)
{
    check_one("\xef\xbb\xbf[VM]\r\nCPUs=1\r\nMemory=1G\r\n", (SettingsChange){"VM", "CPUs", VALUES("2")},
            "\xef\xbb\xbf[VM]\r\nCPUs=2\r\nMemory=1G\r\n");
    check_one("[VM]\r\nCPUs=1", (SettingsChange){"Boot", "Kernel", VALUES("/k")},
            "[VM]\r\nCPUs=1\r\n\r\n[Boot]\r\nKernel=/k\r\n");
    check_one("[VM]\r", (SettingsChange){"VM", "CPUs", VALUES("1")}, "[VM]\r\nCPUs=1\r\n");
}

static void refusals(void)
{
    check_refused(web, (SettingsChange){"VM", "Memory", VALUES("lots")}, "no valid value");
    check_refused(web, (SettingsChange){"VM", "Memroy", VALUES("2G")}, "no key Memroy=");
    check_refused(web, (SettingsChange){"VM", "Memroy", NULL}, "no key Memroy=");
    check_refused(web, (SettingsChange){"Dsk", NULL, NULL}, "no section");
    check_refused(web, (SettingsChange){"VM]\n[QEMU", "Binary", VALUES("/q")}, "no section");
    check_refused(web, (SettingsChange){"Disk a]\n[QEMU", "Source", VALUES("/q")}, "cannot be the name");
    check_refused(web, (SettingsChange){"Scope", "X=1\n[QEMU]\nBinary", VALUES("/q")}, "resource-control");
    check_refused(web, (SettingsChange){"VM", "Description", VALUES("x\n[QEMU]\nBinary=/bin/sh")},
            "more than one line");
    check_refused(
            web, (SettingsChange){"VM", "Description", VALUES("x\rBinary=/bin/sh")}, "more than one line");
    check_refused(web, (SettingsChange){"VM", "Description", VALUES("\xff")}, "not UTF-8");
    check_refused(web, (SettingsChange){"VM", "CPUs", VALUES("1", "2")}, "one value only");
    check_refused(web, (SettingsChange){"Disk root", "Source", NULL}, "lacks Source=");
    check_refused(web, (SettingsChange){"Disk new", "Format", VALUES("raw")}, "lacks Source=");
    check_refused("", (SettingsChange){"Disk new", "Format", VALUES("raw")}, "lacks Source=");
}

/* A drop-in may have what the file itself lacks; a file that is broken can be mended. */
static void imperfect_files(void)
{
    check_one("[Disk a]\nFormat=raw\n", (SettingsChange){"VM", "CPUs", VALUES("1")},
            "[Disk a]\nFormat=raw\n\n[VM]\nCPUs=1\n");
    check_one("[VM]\nMemroy=1G\n", (SettingsChange){"VM", "Memroy", NULL}, "[VM]\n");
    check_one("[Dsk a]\nSource=/a\n[VM]\n", (SettingsChange){"Dsk a", NULL, NULL}, "[VM]\n");
    check_one("[VM]\nMemory=lots\n", (SettingsChange){"VM", "Memory", VALUES("1G")}, "[VM]\nMemory=1G\n");
    check_one("[VM]\nCPUs=1\nCPUs=2\n", (SettingsChange){"VM", "CPUs", VALUES("3")}, "[VM]\nCPUs=3\n");
    check_refused("[VM]\nMemroy=1G\n", (SettingsChange){"VM", "CPUs", VALUES("1")}, "no key Memroy=");
}

/* The largest file there may be, and the most changes: no more than an instant. */
static void large(void)
{
    g_autoptr(GString) text = g_string_new("[QEMU]\n");
    g_autoptr(GPtrArray) values = g_ptr_array_new();
    g_autofree char *result = NULL, *emptied = NULL;
    SettingsChange change = {"QEMU", "Arguments", NULL};
    gint64 start = g_get_monotonic_time();

    for (unsigned i = 0; i < 20000; i++)
        g_string_append(text, "Arguments=\n");
    for (unsigned i = 0; i < 21000; i++)
        g_ptr_array_add(values, (char *) "a");
    g_ptr_array_add(values, NULL);
    change.values = (const char *const *) values->pdata;
    result = settings_edit(&vm_schema, text->str, &change, 1, "x.vm", NULL);
    g_assert_nonnull(result);
    g_assert_cmpuint(strlen(result), ==, strlen("[QEMU]\n") + 21000 * strlen("Arguments=a\n"));

    change.values = NULL;
    emptied = settings_edit(&vm_schema, result, &change, 1, "x.vm", NULL);
    g_assert_cmpstr(emptied, ==, "[QEMU]\n");
    g_test_message("%" G_GINT64_FORMAT " us", g_get_monotonic_time() - start);

    /* And one that would be larger than a file may be. */
    for (unsigned i = 0; i < 3000; i++)
        g_ptr_array_insert(values, 0, (char *) "a");
    change.values = (const char *const *) values->pdata;
    check_refused("", change, "more than 262144 bytes");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings-edit/change-in-place", change_in_place);
    g_test_add_func("/settings-edit/new-key", new_key);
    g_test_add_func("/settings-edit/new-section", new_section);
    g_test_add_func("/settings-edit/removals", removals);
    g_test_add_func("/settings-edit/repeated-lines", repeated_lines);
    g_test_add_func("/settings-edit/line-ends", line_ends);
    g_test_add_func("/settings-edit/refusals", refusals);
    g_test_add_func("/settings-edit/imperfect-files", imperfect_files);
    g_test_add_func("/settings-edit/large", large);
    return g_test_run();
}
