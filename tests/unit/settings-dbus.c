/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-dbus.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

#include "settings-message.h"

/* What changes become: the text of a new file. */
static char *changes_text(const SettingsChanges *changes)
{
    g_autoptr(Error) error = NULL;
    char *text = settings_edit(&vm_schema, "", changes->items, changes->n, "x.vm", &error);

    if (!text) {
        g_autofree char *message = error_message(error);
        g_error("%s", message);
    }
    return text;
}

/* One key with a variant, as a{sa{sv}}. */
static sd_bus_message *message_with(const char *section, const char *key, const char *types, ...)
{
    sd_bus_message *m = message_new();
    va_list ap;

    g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sa{sv}}"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sa{sv}"), >=, 0);
    g_assert_cmpint(sd_bus_message_append(m, "s", section), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
    g_assert_cmpint(sd_bus_message_append(m, "s", key), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(m, 'v', types), >=, 0);
    va_start(ap, types);
    g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
    va_end(ap);
    for (unsigned i = 0; i < 5; i++)
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
    message_seal(m);
    return m;
}

static void check_becomes(sd_bus_message *take, const char *expected)
{
    g_autoptr(sd_bus_message) m = take;
    g_autoptr(Error) error = NULL;
    g_autoptr(SettingsChanges) changes = settings_changes_read(&vm_schema, m, &error);
    g_autofree char *text = NULL;

    if (!changes) {
        g_autofree char *message = error_message(error);
        g_error("%s", message);
    }
    text = changes_text(changes);
    g_assert_cmpstr(text, ==, expected);
    g_assert_cmpint(sd_bus_message_at_end(m, 1), >, 0);
}

static void check_fails(sd_bus_message *take, const char *cause)
{
    g_autoptr(sd_bus_message) m = take;
    g_autoptr(Error) error = NULL;

    g_assert_null(settings_changes_read(&vm_schema, m, &error));
    g_assert_nonnull(error);
    if (!strstr(error->cause, cause))
        g_error("expected \"%s\", got \"%s\"", cause, error->cause);
    g_assert_cmpint(sd_bus_message_rewind(m, 1), >=, 0);
    g_assert_null(settings_changes_read(&vm_schema, m, NULL));
}

static void typed_values(void)
{
    check_becomes(message_with("VM", "CPUs", "u", 4), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "s", "4/8"), "[VM]\nCPUs=4/8\n");
    check_becomes(message_with("VM", "CPUs", "y", 4), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "n", 4), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "q", 4), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "i", 4), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "x", INT64_C(4)), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "CPUs", "t", UINT64_C(4)), "[VM]\nCPUs=4\n");
    check_becomes(message_with("VM", "Memory", "t", UINT64_C(3) << 29), "[VM]\nMemory=1536M\n");
    check_becomes(message_with("VM", "Memory", "i", 1 << 30), "[VM]\nMemory=1G\n");
    check_becomes(message_with("VM", "StopTimeout", "t", UINT64_C(90000000)), "[VM]\nStopTimeout=1min 30s\n");
    check_becomes(message_with("VM", "StopTimeout", "t", UINT64_MAX), "[VM]\nStopTimeout=infinity\n");
    check_becomes(message_with("Console", "Type", "s", "none"), "[Console]\nType=none\n");
    check_becomes(message_with("QEMU", "Arguments", "as", 3, "-device", "a b", "it's"),
            "[QEMU]\nArguments=-device 'a b' 'it'\\''s'\n");
    check_becomes(message_with("Scope", "DeviceAllow", "as", 2, "/dev/null rw", "/dev/kvm"),
            "[Scope]\nDeviceAllow=/dev/null rw\nDeviceAllow=/dev/kvm\n");
    check_becomes(message_with("Scope", "MemoryMax", "as", 1, "1G"), "[Scope]\nMemoryMax=1G\n");
    check_becomes(
            message_with("Scope", "MemoryMax", "t", UINT64_C(1) << 30), "[Scope]\nMemoryMax=1073741824\n");
    check_becomes(message_with("Scope", "MemoryMax", "t", UINT64_MAX), "[Scope]\nMemoryMax=infinity\n");
    check_becomes(message_with("Scope", "IOAccounting", "b", 1), "[Scope]\nIOAccounting=yes\n");
}

/* Every key of the schema takes a string in the file's spelling. */
static void strings_for_all(void)
{
    static const char *const samples[_SETTING_TYPE_MAX] = {
            [SETTING_BOOL] = "yes",
            [SETTING_UINT] = "3",
            [SETTING_SIZE] = "1.5M",
            [SETTING_DURATION] = "5min 20s",
            [SETTING_STRING] = "text",
            [SETTING_PATH] = "/a b",
            [SETTING_SOURCE] = "default/web.qcow2",
            [SETTING_UUID] = "3e3fce64-0ab0-4b0b-a2a4-0e2a3e8e2f10",
            [SETTING_WORDS] = "-a 'b c'",
            [SETTING_PROPERTY] = "50%",
    };

    for (const SettingKey *k = vm_schema.keys; k->section; k++) {
        const char *key = strcmp(k->key, "*") == 0 ? "MemoryMax" : k->key;
        g_autofree char *word = k->words ? g_strndup(k->words, strcspn(k->words, "|"))
                        : k->type == SETTING_UINT && k->min > 3 ? g_strdup_printf("%" G_GUINT64_FORMAT, k->min)
                                                                : g_strdup(samples[k->type]),
                        *section = g_strdup_printf(
                                "%s%s", k->section, schema_find_section(&vm_schema, k->section)->named ? " d" : "");
        g_autoptr(sd_bus_message) m = message_with(section, key, "s", word);
        g_autoptr(SettingsChanges) changes = settings_changes_read(&vm_schema, m, NULL);
        const SettingKey *required = vm_schema.keys;
        while (required->section && !(required->required && strcmp(required->section, k->section) == 0))
            required++;
        SettingsChange all[2] = {{section, required->key, (const char *const[]){required->type == SETTING_SIZE ? "1G" : "/x", NULL}}};
        g_autofree char *text = NULL, *expected = g_strdup_printf("%s=%s\n", key, word);

        g_assert_nonnull(changes);
        g_assert_cmpuint(changes->n, ==, 1);
        all[1] = changes->items[0];
        text = required->section ? settings_edit(&vm_schema, "", all, 2, "x.vm", NULL) : changes_text(changes);
        g_assert_nonnull(text);
        g_assert_nonnull(strstr(text, expected));
    }
    check_becomes(message_with("VM", "Description", "s", "  x  "), "[VM]\nDescription=x\n");
}

static void removals(void)
{
    g_autoptr(sd_bus_message) m = message_new();
    g_autoptr(SettingsChanges) changes = NULL;
    g_autofree char *text = NULL;

    g_assert_cmpint(sd_bus_message_append(m, "a{sa{sv}}", 3, "VM", 2, "CPUs", "s", "", "Memory", "s", "1G",
                            "Disk a", 0, "QEMU", 1, "Arguments", "as", 0),
            >=, 0);
    message_seal(m);
    changes = settings_changes_read(&vm_schema, m, NULL);
    g_assert_nonnull(changes);
    g_assert_cmpuint(changes->n, ==, 4);
    text = settings_edit(&vm_schema, "[VM]\nCPUs=1\n[Disk a]\nSource=/a\n[QEMU]\nArguments=-a\nArguments=-b\n",
            changes->items, changes->n, "x.vm", NULL);
    g_assert_cmpstr(text, ==, "[VM]\nMemory=1G\n[QEMU]\n");
}

static void hostile_values(void)
{
    check_fails(message_with("VM", "CPUs", "i", -1), "negative");
    check_fails(message_with("VM", "Memory", "x", INT64_C(-1)), "negative");
    check_fails(message_with("VM", "CPUs", "b", 1), "type \"b\"");
    check_fails(message_with("VM", "CPUs", "d", 1.0), "type \"d\"");
    check_fails(message_with("VM", "CPUs", "v", "u", 1), "type \"v\"");
    check_fails(message_with("VM", "CPUs", "as", 1, "2"), "type \"as\"");
    check_fails(message_with("VM", "CPUs", "(u)", 1), "type \"(u)\"");
    check_fails(message_with("VM", "CPUs", "a{sv}", 0), "type \"a{sv}\"");
    check_fails(message_with("VM", "CPUs", "o", "/a"), "type \"o\"");
    check_fails(message_with("VM", "CPUs", "h", 0), "type \"h\"");
    check_fails(message_with("VM", "Description", "u", 1), "type \"u\"");
    check_fails(message_with("VM", "Description", "ay", 1, 7), "type \"ay\"");
    check_fails(message_with("Disk a", "ReadOnly", "u", 1), "type \"u\"");
    check_fails(message_with("QEMU", "Arguments", "b", 1), "type \"b\"");
    check_fails(message_with("QEMU", "Arguments", "as", 1, "a\nBinary=/bin/sh"), "more than one line");
    check_fails(message_with("QEMU", "Arguments", "aas", 0), "type \"aas\"");
    check_fails(message_with("VM", "Memroy", "s", "2G"), "no key Memroy=");
    check_fails(message_with("Vm", "Memory", "s", "2G"), "no section [Vm]");
    check_fails(message_with("VM]\n[QEMU", "Memory", "s", "2G"), "no section");
    check_fails(message_with("", "Memory", "s", "2G"), "no section []");
    check_fails(message_with("VM", "", "s", "2G"), "no key =");
}

/* What reads well can still be no value: the edit refuses it. */
static void refused_by_the_edit(void)
{
    static const char *const texts[] = {"x\n[QEMU]\nBinary=/bin/sh", "x\rCPUs=1", "bell\a"};

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(sd_bus_message) m = message_with("VM", "Description", "s", texts[i]);
        g_autoptr(SettingsChanges) changes = settings_changes_read(&vm_schema, m, NULL);

        g_assert_nonnull(changes);
        g_assert_null(settings_edit(&vm_schema, "", changes->items, changes->n, "x.vm", NULL));
    }
}

static void twice(void)
{
    g_autoptr(sd_bus_message) a = message_new(), b = message_new();

    g_assert_cmpint(sd_bus_message_append(a, "a{sa{sv}}", 1, "VM", 2, "CPUs", "u", 1, "CPUs", "u", 2), >=, 0);
    message_seal(a);
    check_fails(g_steal_pointer(&a), "twice");
    g_assert_cmpint(
            sd_bus_message_append(b, "a{sa{sv}}", 2, "VM", 1, "CPUs", "u", 1, "VM", 1, "CPUs", "u", 2), >=,
            0);
    message_seal(b);
    check_fails(g_steal_pointer(&b), "twice");
}

static void wrong_signature(void)
{
    g_autoptr(sd_bus_message) s = message_new(), empty = message_new(), dict = message_new();

    g_assert_cmpint(sd_bus_message_append(s, "s", "x"), >=, 0);
    message_seal(s);
    check_fails(g_steal_pointer(&s), "cannot be read");
    message_seal(empty);
    check_fails(g_steal_pointer(&empty), "cannot be read");
    g_assert_cmpint(sd_bus_message_append(dict, "a{ss}", 1, "VM", "CPUs"), >=, 0);
    message_seal(dict);
    check_fails(g_steal_pointer(&dict), "cannot be read");
}

static void too_much(void)
{
    g_autoptr(sd_bus_message) sections = message_new(), words = message_new();
    g_autofree char *endless = g_strnfill(300000, 'a');

    g_assert_cmpint(sd_bus_message_open_container(sections, 'a', "{sa{sv}}"), >=, 0);
    for (unsigned i = 0; i <= SETTINGS_SECTIONS_MAX; i++) {
        g_autofree char *name = g_strdup_printf("Disk d%u", i);
        g_assert_cmpint(sd_bus_message_append(sections, "{sa{sv}}", name, 1, "Source", "s", "/x"), >=, 0);
    }
    g_assert_cmpint(sd_bus_message_close_container(sections), >=, 0);
    message_seal(sections);
    check_fails(g_steal_pointer(&sections), "more than 256 sections");

    g_assert_cmpint(sd_bus_message_open_container(words, 'a', "{sa{sv}}"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(words, 'e', "sa{sv}"), >=, 0);
    g_assert_cmpint(sd_bus_message_append(words, "s", "QEMU"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(words, 'a', "{sv}"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(words, 'e', "sv"), >=, 0);
    g_assert_cmpint(sd_bus_message_append(words, "s", "Arguments"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(words, 'v', "as"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(words, 'a', "s"), >=, 0);
    for (unsigned i = 0; i < 1000000; i++)
        g_assert_cmpint(sd_bus_message_append(words, "s", ""), >=, 0);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpint(sd_bus_message_close_container(words), >=, 0);
    message_seal(words);
    check_fails(g_steal_pointer(&words), "more than 262144 bytes");

    check_fails(message_with("VM", "Description", "s", endless), "more than 262144 bytes");
    check_fails(message_with(endless, "Description", "s", "x"), "no section");
    check_fails(message_with("VM", endless, "s", "x"), "no key");
}

static void one_section(void)
{
    g_autoptr(sd_bus_message) m = message_new(), none = message_new(), bad = message_new();
    g_autoptr(SettingsChanges) changes = NULL, no_changes = NULL;
    g_autofree char *text = NULL;

    g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 2, "Source", "s", "/a", "ReadOnly", "b", 1), >=, 0);
    message_seal(m);
    changes = settings_changes_read_section(&vm_schema, m, "Disk new", NULL);
    g_assert_nonnull(changes);
    text = changes_text(changes);
    g_assert_cmpstr(text, ==, "[Disk new]\nSource=/a\nReadOnly=yes\n");

    g_assert_cmpint(sd_bus_message_append(none, "a{sv}", 0), >=, 0);
    message_seal(none);
    no_changes = settings_changes_read_section(&vm_schema, none, "Disk new", NULL);
    g_assert_nonnull(no_changes);
    g_assert_cmpuint(no_changes->n, ==, 0);

    g_assert_cmpint(sd_bus_message_append(bad, "a{sv}", 0), >=, 0);
    message_seal(bad);
    g_assert_null(settings_changes_read_section(&vm_schema, bad, "Disk", NULL));
}

/* What goes out typed comes in again as the same settings. */
static void round_trip(void)
{
    static const char text[] =
            "[VM]\nDescription=x\nCPUs=3/4\nMemory=1536M/2G\nStopTimeout=infinity\nOnPanic=pause\n"
            "UUID=3e3fce64-0ab0-4b0b-a2a4-0e2a3e8e2f10\n[Boot]\nKernel=/k\n[Disk a]\nSource=/a "
            "b\nReadOnly=yes\n"
            "[Disk b]\nSource=/b\n[Scope]\nMemoryMax=50%\nDeviceAllow=/dev/null rw\nDeviceAllow=/dev/kvm\n"
            "[QEMU]\nArguments=-device 'a b'\nArguments='' \"'\"\n";
    g_autoptr(Settings) s = settings_parse(&vm_schema, text, strlen(text), "x.vm", NULL), back = NULL;
    g_autoptr(sd_bus_message) m = message_new();
    g_autoptr(SettingsChanges) changes = NULL;
    g_autofree char *canonical = settings_canonical(s, false), *new_text = NULL, *canonical_back = NULL;

    g_assert_cmpint(settings_append(m, s), >=, 0);
    message_seal(m);
    g_assert_cmpstr(sd_bus_message_get_signature(m, 1), ==, "a{sa{sv}}");
    changes = settings_changes_read(&vm_schema, m, NULL);
    g_assert_nonnull(changes);
    new_text = changes_text(changes);
    back = settings_parse(&vm_schema, new_text, strlen(new_text), "x.vm", NULL);
    canonical_back = settings_canonical(back, false);
    g_assert_cmpstr(canonical, ==, canonical_back);
}

static void replies_are_typed(void)
{
    static const struct {
        const char *key, *signature;
    } expected[] = {{"Memory", "t"}, {"CPUs", "u"}, {"StopTimeout", "t"}, {"Accelerator", "s"}};
    static const char text[] = "[VM]\nMemory=1G\nCPUs=1\nStopTimeout=1s\nAccelerator=tcg\nDescription=\n";
    g_autoptr(Settings) s = settings_parse(&vm_schema, text, strlen(text), "x.vm", NULL);
    g_autoptr(sd_bus_message) m = message_new();
    const char *section, *key, *contents;

    g_assert_cmpint(settings_append(m, s), >=, 0);
    message_seal(m);
    g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), >, 0);
    g_assert_cmpint(sd_bus_message_enter_container(m, 'e', "sa{sv}"), >, 0);
    g_assert_cmpint(sd_bus_message_read(m, "s", &section), >, 0);
    g_assert_cmpstr(section, ==, "VM");
    g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(sd_bus_message_enter_container(m, 'e', "sv"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &key), >, 0);
        g_assert_cmpstr(key, ==, expected[i].key);
        g_assert_cmpint(sd_bus_message_peek_type(m, NULL, &contents), >, 0);
        g_assert_cmpstr(contents, ==, expected[i].signature);
        g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
    }
    g_assert_cmpint(sd_bus_message_at_end(m, 0), >, 0);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings-dbus/typed-values", typed_values);
    g_test_add_func("/settings-dbus/strings-for-all", strings_for_all);
    g_test_add_func("/settings-dbus/removals", removals);
    g_test_add_func("/settings-dbus/hostile-values", hostile_values);
    g_test_add_func("/settings-dbus/refused-by-the-edit", refused_by_the_edit);
    g_test_add_func("/settings-dbus/twice", twice);
    g_test_add_func("/settings-dbus/wrong-signature", wrong_signature);
    g_test_add_func("/settings-dbus/too-much", too_much);
    g_test_add_func("/settings-dbus/one-section", one_section);
    g_test_add_func("/settings-dbus/round-trip", round_trip);
    g_test_add_func("/settings-dbus/replies-are-typed", replies_are_typed);
    return g_test_run();
}
