/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which action a change of settings needs. */
#include "change.h"

#include "access.h"
#include "schema.h"

static const char *action_of(const char *section, const char *key, const char *value)
{
    const char *values[] = {value, NULL};
    const SettingsChange changes[] = {
        {.section = "VM", .key = "CPUs", .values = (const char *[]){"1", NULL}},
        {.section = section, .key = key, .values = value ? values : NULL},
    };
    ChangeActions actions;
    change_actions(changes, G_N_ELEMENTS(changes), &actions);
    change_actions_clear(&actions);
    return actions.action;
}

/* "ACTION NETWORKS", of the second question. */
static char *also_of(const char *section, const char *key, const char *value)
{
    const char *values[] = {value, NULL};
    const SettingsChange change = {.section = section, .key = key, .values = value ? values : NULL};
    ChangeActions actions;
    change_actions(&change, 1, &actions);
    char *text = g_strdup_printf("%s %s", actions.also ?: "-", actions.networks ?: "-");
    change_actions_clear(&actions);
    return text;
}

static const char *action_of_text(const char *before, const char *after)
{
    ChangeActions actions;
    change_actions_of_text(before, after, &actions);
    change_actions_clear(&actions);
    return actions.action;
}

static void check_also(const char *section, const char *key, const char *value, const char *expected)
{
    g_autofree char *also = also_of(section, key, value);
    g_assert_cmpstr(also, ==, expected);
}

static void networks(void)
{
    check_also("VM", "CPUs", "1", "- -");
    check_also("Network lan", "Network", "blue", ACTION_USE_NETWORK " blue");
    check_also("Network lan", "MAC", "52:54:00:00:00:01", ACTION_USE_NETWORK " default");
    check_also("Network lan", "Network", NULL, "- -");
    check_also("Network lan", "Bridge", "br0", ACTION_USE_HOST_LINK " br0");
    check_also("Network lan", "Macvtap", "eth0", ACTION_USE_HOST_LINK " eth0");

    static const struct {
        const char *before, *after, *also, *networks;
    } cases[] = {
        {"[VM]\n", "[VM]\n[Network a]\n", ACTION_USE_NETWORK, "default"},
        {"[Network a]\n", "[Network a]\n[VM]\nCPUs=2\n", NULL, NULL},
        {"[Network a]\n", "[Network a]\nNetwork=blue\n[Network b]\nNetwork=red\n", ACTION_USE_NETWORK, "blue,red"},
        {"[Network a]\n", "[Network a]\nBridge=br0\n", ACTION_USE_HOST_LINK, "br0"},
        {"[Network a]\nBridge=br0\n", "[VM]\n", NULL, NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        ChangeActions actions;
        change_actions_of_text(cases[i].before, cases[i].after, &actions);
        g_assert_cmpstr(actions.also, ==, cases[i].also);
        g_assert_cmpstr(actions.networks, ==, cases[i].networks);
        change_actions_clear(&actions);
    }
}

static const char *action_of_all(const SettingsChange *changes, size_t n)
{
    ChangeActions actions;
    change_actions(changes, n, &actions);
    change_actions_clear(&actions);
    return actions.action;
}

static void one_change(void)
{
    g_assert_cmpstr(action_of("VM", "Memory", "1G"), ==, NULL);
    g_assert_cmpstr(action_of("Scope", "MemoryMax", "1G"), ==, NULL);
    g_assert_cmpstr(action_of("Disk root", "ReadOnly", "yes"), ==, NULL);
    g_assert_cmpstr(action_of("Disk root", "Source", "/a"), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Disk  root", "Source", "/a"), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Disk root", "Format", "qcow2"), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Disk root", "Format", NULL), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Disk root", NULL, NULL), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Boot", "Kernel", "/a"), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of("Scope", "DeviceAllow", "/dev/sda rw"), ==, ACTION_ATTACH_HOST_DEVICE);
    g_assert_cmpstr(action_of("VM", "Owner", "alice"), ==, ACTION_CHANGE_OWNER);
    g_assert_cmpstr(action_of("VM", "Owner", NULL), ==, ACTION_CHANGE_OWNER);
    g_assert_cmpstr(action_of("VM", NULL, NULL), ==, ACTION_CHANGE_OWNER);
    g_assert_cmpstr(action_of("QEMU", "Arguments", "-S"), ==, ACTION_RAW_QEMU_ARGUMENTS);
    g_assert_cmpstr(action_of("QEMU", NULL, NULL), ==, ACTION_RAW_QEMU_ARGUMENTS);
    g_assert_cmpstr(action_of_all(NULL, 0), ==, NULL);
}

/* A new key that names a file of the host needs a row, or whoever manages a VM of root's reads all files. */
static void each_path_has_a_rule(void)
{
    const char *values[] = {"/x", NULL};
    for (const SettingKey *k = vm_schema.keys; k->section; k++) {
        const SettingsChange change = {.section = k->section, .key = k->key, .values = values};
        if (k->type == SETTING_PATH || g_str_has_suffix(k->key, "Paths"))
            g_assert_nonnull(action_of_all(&change, 1));
    }
}

static void the_strictest_counts(void)
{
    const char *values[] = {"x", NULL};
    const SettingsChange changes[] = {{"Disk a", "Source", values}, {"QEMU", "Binary", values}, {"VM", "Owner", values}};
    g_assert_cmpstr(action_of_all(changes, 3), ==, ACTION_RAW_QEMU_ARGUMENTS);
    g_assert_cmpstr(action_of_all(changes, 1), ==, ACTION_USE_FOREIGN_PATHS);
    g_assert_cmpstr(action_of_all(changes + 2, 1), ==, ACTION_CHANGE_OWNER);
}

static void texts(void)
{
    static const char before[] = "[VM]\nOwner=alice\nCPUs=1\n[Disk a]\nSource=/a\nFormat=raw\n[Scope]\nDeviceAllow=/dev/a\n"
                                 "[QEMU]\nArguments=-S\n";
    static const struct {
        const char *after, *action;
    } cases[] = {
        {"[QEMU]\nArguments = '-S'\n[Scope]\nDeviceAllow=/dev/a\n[Disk a]\nFormat=raw\nSource=//a\n# x\n[VM]\nOwner=alice\nCPUs=2\n", NULL},
        {"[VM]\nOwner=alice\n[Disk a]\nSource=/a\nFormat=raw\n[QEMU]\nArguments=-S\n", NULL}, /* a device taken away */
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-S\n[Disk a]\nSource=/a\n", ACTION_USE_FOREIGN_PATHS},
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-S\n[Disk a]\nSource=/b\nFormat=raw\n", ACTION_USE_FOREIGN_PATHS},
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-S\n[Disk a]\nSource=/a\nFormat=raw\n[Scope]\nDeviceAllow=/dev/b\n", ACTION_ATTACH_HOST_DEVICE},
        {"[VM]\nOwner=bob\n[QEMU]\nArguments=-S\n[Disk a]\nSource=/a\nFormat=raw\n", ACTION_CHANGE_OWNER},
        {"[QEMU]\nArguments=-S\n[Disk a]\nSource=/a\nFormat=raw\n", ACTION_CHANGE_OWNER},
        {"[VM]\nOwner=alice\n[Disk a]\nSource=/a\nFormat=raw\n", ACTION_RAW_QEMU_ARGUMENTS},
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-S -x\n[Disk a]\nSource=/a\nFormat=raw\n", ACTION_RAW_QEMU_ARGUMENTS},
        {"no settings at all", ACTION_RAW_QEMU_ARGUMENTS},
        /* Without a required key, which a drop-in may have. */
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-S\n[Disk a]\nSource=/a\nFormat=raw\n[Disk b]\nFormat=qcow2\n", ACTION_USE_FOREIGN_PATHS},
        {"[VM]\nOwner=alice\n[QEMU]\nArguments=-x\n[Disk b]\nReadOnly=yes\n", ACTION_RAW_QEMU_ARGUMENTS},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s", cases[i].after);
        g_assert_cmpstr(action_of_text(before, cases[i].after), ==, cases[i].action);
    }
    g_assert_cmpstr(action_of_text("[VM]\nCPUs=1\n", "[Disk x]\nReadOnly=yes\n[QEMU]\nArguments=-device edu\n"), ==,
            ACTION_RAW_QEMU_ARGUMENTS);
    g_assert_cmpstr(action_of_text("broken", "[VM]\nOwner=alice\n"), ==, ACTION_CHANGE_OWNER);
}

static void owners(void)
{
    g_autoptr(Settings) root = settings_parse(&vm_schema, "[VM]\nOwner=root\n", 16, "x", NULL), number = settings_parse(&vm_schema, "[VM]\nOwner=4711\n", 16, "x", NULL),
                        nobody = settings_parse(&vm_schema, "[VM]\nOwner=no body\n", 19, "x", NULL), minus = settings_parse(&vm_schema, "[VM]\nOwner=4294967295\n", 22, "x", NULL);
    g_autoptr(Error) error = NULL, other = NULL;
    uid_t uid;

    g_assert_true(change_find_owner(root, &uid, NULL) && uid == 0);
    g_assert_true(change_find_owner(number, &uid, NULL) && uid == 4711);
    g_assert_false(change_find_owner(nobody, &uid, &error));
    g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    g_assert_false(change_find_owner(minus, &uid, &other));
    g_assert_true(identity_find("0", &uid) && uid == 0);
    g_assert_false(identity_find("", &uid) || identity_find("-1", &uid) || identity_find("0x10", &uid) || identity_find("99999999999", &uid));
    g_autofree char *name = identity_name(0), *unnamed = identity_name(4000000000U);
    g_assert_cmpstr(name, ==, "root");
    g_assert_cmpstr(unnamed, ==, "4000000000");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/change/one", one_change);
    g_test_add_func("/change/paths", each_path_has_a_rule);
    g_test_add_func("/change/strictest", the_strictest_counts);
    g_test_add_func("/change/texts", texts);
    g_test_add_func("/change/networks", networks);
    g_test_add_func("/change/owners", owners);
    return g_test_run();
}
