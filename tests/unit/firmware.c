/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which firmware is chosen, of descriptors in folders of the test's own. */

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "firmware.h"

typedef struct Fixture {
    char *root;
    char *folders[4]; /* as firmware_folders() has them: the first one counts least */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"share", "etc", "home"};
    f->root = g_dir_make_tmp("vmd-firmware-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        f->folders[i] = g_build_filename(f->root, names[i], NULL);
        g_assert_cmpint(g_mkdir(f->folders[i], 0755), ==, 0);
    }
}

static void tear_down(Fixture *f, gconstpointer data)
{
    for (size_t i = 0; i < 3; i++) {
        g_autoptr(GDir) dir = g_dir_open(f->folders[i], 0, NULL);
        const char *name;
        while (dir && (name = g_dir_read_name(dir))) {
            g_autofree char *path = g_build_filename(f->folders[i], name, NULL);
            g_unlink(path);
        }
        g_rmdir(f->folders[i]);
        g_free(f->folders[i]);
    }
    g_rmdir(f->root);
    g_free(f->root);
}

static void write_text(const Fixture *f, unsigned folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->folders[folder], name, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

#define MAPPING(code) \
    "{\"device\": \"flash\", \"executable\": {\"filename\": \"/fw/" code "\", \"format\": \"raw\"}," \
    " \"nvram-template\": {\"filename\": \"/fw/" code ".vars\", \"format\": \"qcow2\"}}"
#define DESCRIPTOR(type, mapping, arch, machine, features) \
    "{\"description\": \"\", \"interface-types\": [\"" type "\"], \"mapping\": " mapping "," \
    " \"targets\": [{\"architecture\": \"" arch "\", \"machines\": [\"" machine "\"]}], \"features\": [" features "], \"tags\": []}"
#define UEFI(code, features) DESCRIPTOR("uefi", MAPPING(code), "x86_64", "pc-q35-*", features)

static char *find_in(Fixture *f, const char *architecture, const char *machine, bool secure)
{
    const FirmwareWish wish = {.architecture = architecture, .machine = machine, .secure_boot = secure};
    g_autoptr(Error) error = NULL;
    g_autoptr(Firmware) firmware = firmware_find(-1, (const char *const *) f->folders, &wish, &error);
    if (!firmware) {
        g_assert_cmpint(error->code, ==, ERROR_UNSUPPORTED);
        return g_strdup("none");
    }
    g_assert_null(error);
    g_assert_cmpstr(firmware->code_format, ==, "raw");
    g_assert_cmpstr(firmware->template_format, ==, "qcow2");
    return g_strdup_printf("%s%s", firmware->code, firmware->smm ? "+smm" : "");
}

static void expect(Fixture *f, bool secure, const char *wanted)
{
    g_autofree char *found = find_in(f, "x86_64", "pc-q35-7.2", secure);
    g_assert_cmpstr(found, ==, wanted);
}

static void test_order(Fixture *f, gconstpointer data)
{
    expect(f, false, "none");
    write_text(f, 0, "60-b.json", UEFI("b", ""));
    write_text(f, 0, "50-a.json", UEFI("a", "\"acpi-s3\""));
    expect(f, false, "/fw/a");
    /* The same name in a higher folder hides, at its place in the order. */
    write_text(f, 1, "50-a.json", UEFI("etc", ""));
    expect(f, false, "/fw/etc");
    write_text(f, 2, "50-a.json", UEFI("home", ""));
    expect(f, false, "/fw/home");
    write_text(f, 2, "40-first.json", UEFI("first", ""));
    expect(f, false, "/fw/first");
    /* What is no descriptor by its name. */
    write_text(f, 2, "10-x.json.dpkg-old", UEFI("old", ""));
    write_text(f, 2, ".05-x.json", UEFI("hidden", ""));
    expect(f, false, "/fw/first");
}

static void test_masks(Fixture *f, gconstpointer data)
{
    write_text(f, 0, "50-a.json", UEFI("a", ""));
    write_text(f, 0, "60-b.json", UEFI("b", ""));
    write_text(f, 1, "50-a.json", "");
    expect(f, false, "/fw/b");
    g_autofree char *path = g_build_filename(f->folders[2], "60-b.json", NULL);
    g_assert_cmpint(symlink("/dev/null", path), ==, 0);
    expect(f, false, "none");
}

static void test_machines(Fixture *f, gconstpointer data)
{
    write_text(f, 0, "50-a.json", UEFI("a", ""));
    write_text(f, 0, "60-arm.json", DESCRIPTOR("uefi", MAPPING("arm"), "aarch64", "virt-*", ""));
    static const struct {
        const char *architecture, *machine, *wanted;
    } cases[] = {
        {"x86_64", "pc-q35-9.0", "/fw/a"}, {"x86_64", "pc-i440fx-9.0", "none"}, {"i386", "pc-q35-9.0", "none"},
        {"aarch64", "virt-9.0", "/fw/arm"}, {"aarch64", "pc-q35-9.0", "none"}, {"riscv64", "virt", "none"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *found = find_in(f, cases[i].architecture, cases[i].machine, false);
        g_assert_cmpstr(found, ==, cases[i].wanted);
    }
}

static void test_secure_boot(Fixture *f, gconstpointer data)
{
    write_text(f, 0, "40.json", UEFI("enrolled", "\"enrolled-keys\", \"requires-smm\", \"secure-boot\""));
    /* With keys it would keep out what is not signed, and that was not asked for. */
    expect(f, false, "none");
    expect(f, true, "/fw/enrolled+smm");
    write_text(f, 0, "50.json", UEFI("empty", "\"requires-smm\", \"secure-boot\""));
    expect(f, false, "/fw/empty+smm");
    write_text(f, 0, "60.json", UEFI("plain", ""));
    expect(f, false, "/fw/plain");
    expect(f, true, "/fw/enrolled+smm");
    write_text(f, 1, "40.json", "");
    expect(f, true, "none");
}

static void test_other_kinds(Fixture *f, gconstpointer data)
{
    write_text(f, 0, "10.json", DESCRIPTOR("bios", "{\"device\": \"memory\", \"filename\": \"/fw/bios\"}", "x86_64", "pc-q35-*", ""));
    write_text(f, 0, "20.json", DESCRIPTOR("uefi", "{\"device\": \"memory\", \"filename\": \"/fw/memory\"}", "x86_64", "pc-q35-*", "\"amd-sev\""));
    write_text(f, 0, "30.json", DESCRIPTOR("uefi", "{\"device\": \"flash\", \"mode\": \"stateless\", \"executable\": {\"filename\": \"/fw/s\", \"format\": \"raw\"}}",
        "x86_64", "pc-q35-*", ""));
    write_text(f, 0, "40.json", DESCRIPTOR("uefi", "{\"device\": \"flash\", \"mode\": \"combined\", \"executable\": {\"filename\": \"/fw/c\", \"format\": \"raw\"}}",
        "x86_64", "pc-q35-*", ""));
    write_text(f, 0, "50.json", DESCRIPTOR("uefi", "{\"device\": \"flash\", \"executable\": {\"filename\": \"/fw/half\", \"format\": \"raw\"}}", "x86_64",
        "pc-q35-*", ""));
    write_text(f, 0, "55.json", DESCRIPTOR("uefi", "{\"device\": \"flash\", \"executable\": {\"filename\": \"relative\", \"format\": \"raw\"},"
        " \"nvram-template\": {\"filename\": \"/x\", \"format\": \"raw\"}}", "x86_64", "pc-q35-*", ""));
    expect(f, false, "none");
    write_text(f, 0, "60.json", UEFI("split", ""));
    expect(f, false, "/fw/split");
}

static void test_broken(Fixture *f, gconstpointer data)
{
    static const char *const broken[] = {
        "{", "[]", "\"x\"", "null", "{}", "{\"interface-types\": 1, \"mapping\": [], \"targets\": {}, \"features\": \"\"}", "\xff\xfe",
        "{\"interface-types\": [\"uefi\"], \"mapping\": {\"device\": 7}, \"targets\": [], \"features\": []}",
    };
    write_text(f, 0, "90-good.json", UEFI("good", ""));
    for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
        write_text(f, 1, "10-broken.json", broken[i]);
        g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*10-broken.json: it is passed over: *");
        expect(f, false, "/fw/good");
        g_test_assert_expected_messages();
    }
    /* Understood as a whole, though some of it is not. */
    write_text(f, 1, "10-broken.json", "{\"interface-types\": [1, \"uefi\"], \"mapping\": {\"device\": \"flash\", \"executable\": 3},"
        " \"targets\": [4, {}, {\"architecture\": \"x86_64\", \"machines\": [null, \"pc-q35-*\"]}], \"features\": [{}]}");
    expect(f, false, "/fw/good");
    /* Longer than any is. */
    g_autofree char *spaces = g_strnfill(2 * 1024 * 1024, ' ');
    write_text(f, 1, "10-broken.json", spaces);
    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*it cannot be read*");
    expect(f, false, "/fw/good");
    g_test_assert_expected_messages();
}

static void test_error(Fixture *f, gconstpointer data)
{
    const FirmwareWish wish = {.architecture = "x86_64", .machine = "pc-q35-7.2", .secure_boot = true};
    g_autoptr(Error) error = NULL;
    g_assert_null(firmware_find(-1, (const char *const *) f->folders, &wish, &error));
    g_assert_nonnull(strstr(error->remedy, "ovmf on Debian"));
    g_assert_nonnull(strstr(error->remedy, "edk2-ovmf on Fedora"));
    g_assert_nonnull(strstr(error->cause, "Secure Boot"));
    g_assert_nonnull(strstr(error->cause, f->folders[1]));
}

static void test_folders(void)
{
    g_auto(GStrv) system = firmware_folders(false), user = firmware_folders(true);
    g_assert_cmpuint(g_strv_length(system), ==, 2);
    g_assert_cmpstr(system[0], ==, "/usr/share/qemu/firmware");
    g_assert_cmpstr(system[1], ==, "/etc/qemu/firmware");
    g_assert_cmpuint(g_strv_length(user), ==, 3);
    g_assert_true(g_str_has_suffix(user[2], "/qemu/firmware"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"/firmware/order", test_order}, {"/firmware/masks", test_masks}, {"/firmware/machines", test_machines},
        {"/firmware/secure-boot", test_secure_boot}, {"/firmware/other-kinds", test_other_kinds}, {"/firmware/broken", test_broken},
        {"/firmware/error", test_error},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
    g_test_add_func("/firmware/folders", test_folders);
    return g_test_run();
}
