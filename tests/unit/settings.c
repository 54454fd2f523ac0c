/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <glib.h>
#include <string.h>

#include "scope-property.h"
#include "settings-text.h"
#include "value.h"

static Settings *parse_ok(const char *text)
{
    g_autoptr(Error) error = NULL;
    Settings *settings = settings_parse(&vm_schema, text, strlen(text), "x.vm", &error);

    if (!settings) {
        g_autofree char *message = error_message(error);
        g_error("%s", message);
    }
    return settings;
}

static void check_fails(
        const char *text, size_t length, const char *thing, const char *cause, const char *remedy)
{
    g_autoptr(Error) error = NULL;
    Settings *settings = settings_parse(&vm_schema, text, length, "x.vm", &error);
    g_autofree char *message = NULL;

    if (settings)
        g_error("accepted: %s", text);
    message = error_message(error);
    g_test_message("%s", message);
    g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    g_assert_cmpstr(error->thing, ==, thing);
    if (!strstr(error->cause, cause) || (remedy && !(error->remedy && strstr(error->remedy, remedy))))
        g_error("expected \"%s\" and \"%s\": %s", cause, remedy, message);
    g_assert_null(settings_parse(&vm_schema, text, length, "x.vm", NULL));
}

/* Every type as a file says it. */
static void values(void)
{
    g_autoptr(Settings) s = parse_ok("# A comment\n"
                                     "[VM]\n"
                                     "Description = Web server = 1 # no comment \n"
                                     "UUID=3E3FCE64-0AB0-4B0B-A2A4-0E2A3E8E2F10\n"
                                     "  CPUs\t=\t 4\n"
                                     "Memory=1.5G\n"
                                     "StopTimeout=5min 20s\n"
                                     "Accelerator=tcg\n"
                                     "\n"
                                     "[Boot]\n"
                                     "Kernel=/boot//./vmlinuz-1/\n"
                                     "[Disk root]\n"
                                     "Source=/var/lib/a b,c.qcow2\n"
                                     "ReadOnly=on\n"
                                     "[Disk data]\n"
                                     "Source=/d\n"
                                     "[Scope]\n"
                                     "MemoryMax=50%\n"
                                     "DeviceAllow=/dev/null rw\n"
                                     "DeviceAllow=/dev/kvm\n"
                                     "[QEMU]\n"
                                     "Arguments=-device 'foo bar'\n"
                                     "Arguments=-S");
    g_autofree const char **all = settings_sections(s, NULL), **disks = settings_sections(s, "Disk"),
                          **keys = settings_keys(s, "Disk root"), **none = settings_keys(s, "Disk nowhere");
    const char *const *words;

    g_assert_cmpstr(settings_get_string(s, "VM", "Description"), ==, "Web server = 1 # no comment");
    g_assert_cmpstr(settings_get_string(s, "VM", "UUID"), ==, "3e3fce64-0ab0-4b0b-a2a4-0e2a3e8e2f10");
    g_assert_cmpuint(settings_get_number(s, "VM", "CPUs"), ==, 4);
    g_assert_cmpuint(settings_get_number(s, "VM", "Memory"), ==, UINT64_C(3) << 29);
    g_assert_cmpuint(settings_get_number(s, "VM", "StopTimeout"), ==, 320 * USEC_PER_SEC);
    g_assert_cmpstr(settings_get_string(s, "VM", "Accelerator"), ==, "tcg");
    g_assert_cmpstr(settings_get_string(s, "Boot", "Kernel"), ==, "/boot/vmlinuz-1");
    g_assert_cmpstr(settings_get_string(s, "Disk root", "Source"), ==, "/var/lib/a b,c.qcow2");
    g_assert_true(settings_get_bool(s, "Disk root", "ReadOnly"));
    g_assert_cmpstr(settings_get_string(s, "Scope", "MemoryMax"), ==, "50%");
    g_assert_cmpstr(settings_get_string(s, "Scope", "DeviceAllow"), ==, "/dev/kvm");

    words = settings_get_words(s, "Scope", "DeviceAllow");
    g_assert_cmpstr(words[0], ==, "/dev/null rw");
    g_assert_cmpstr(words[1], ==, "/dev/kvm");
    g_assert_null(words[2]);
    words = settings_get_words(s, "Scope", "MemoryMax");
    g_assert_cmpstr(words[0], ==, "50%");
    g_assert_null(words[1]);
    words = settings_get_words(s, "QEMU", "Arguments");
    g_assert_cmpuint(g_strv_length((char **) words), ==, 3);
    g_assert_cmpstr(words[1], ==, "foo bar");
    g_assert_cmpstr(words[2], ==, "-S");

    g_assert_cmpstr(settings_origin(s, "VM", "CPUs"), ==, "x.vm:5");
    g_assert_cmpstr(settings_origin(s, "QEMU", "Arguments"), ==, "x.vm:23");
    g_assert_cmpuint(g_strv_length((char **) all), ==, 6);
    g_assert_cmpstr(all[0], ==, "VM");
    g_assert_cmpuint(g_strv_length((char **) disks), ==, 2);
    g_assert_cmpstr(disks[0], ==, "Disk root");
    g_assert_cmpstr(disks[1], ==, "Disk data");
    g_assert_cmpuint(g_strv_length((char **) keys), ==, 2);
    g_assert_cmpstr(keys[0], ==, "Source");
    g_assert_null(none[0]);
}

static void defaults(void)
{
    g_autoptr(Settings) s = parse_ok("");

    g_assert_cmpuint(settings_get_number(s, "VM", "CPUs"), ==, 2);
    g_assert_cmpuint(settings_get_number(s, "VM", "Memory"), ==, UINT64_C(2) << 30);
    g_assert_cmpuint(settings_get_number(s, "VM", "StopTimeout"), ==, 90 * USEC_PER_SEC);
    g_assert_cmpstr(settings_get_string(s, "VM", "Accelerator"), ==, "auto");
    g_assert_cmpstr(settings_get_string(s, "Console", "Type"), ==, "serial");
    g_assert_null(settings_get_string(s, "VM", "UUID"));
    g_assert_null(settings_get_words(s, "QEMU", "Arguments"));
    g_assert_true(settings_get_bool(s, "Disk any", "Discard"));
    g_assert_false(settings_get_bool(s, "Disk any", "ReadOnly"));
    g_assert_cmpuint(settings_get_number(s, "Disk any", "BootOrder"), ==, 0);
    g_assert_false(settings_has(s, "VM", "CPUs"));
    g_assert_null(settings_origin(s, "VM", "CPUs"));
}

/* The table itself: what it promises must parse, and each kind of row is whole. */
static void schema_is_sound(void)
{
    for (const SettingKey *k = vm_schema.keys; k->section; k++) {
        const SettingSection *section = schema_find_section(&vm_schema, k->section);
        g_autofree char *text = NULL;
        g_autoptr(Settings) s = NULL;

        g_assert_nonnull(section);
        g_assert_nonnull(k->summary);
        g_assert_true(g_str_has_suffix(k->summary, "."));
        g_assert_true((k->type == SETTING_ENUM) == (k->words != NULL));
        g_assert_true((k->option != NULL) == (k->metavar != NULL));
        g_assert_nonnull(setting_type_to_string(k->type));
        g_assert_nonnull(setting_type_to_signature(k->type));
        g_assert_true(schema_find_key(&vm_schema, k->section, k->key) == k);
        if (!k->default_value)
            continue;
        text = g_strdup_printf("[%s%s]\n%s=%s\n%s", k->section, section->named ? " x" : "", k->key,
                k->default_value, strcmp(k->section, "Disk") == 0 ? "Source=/x\n" : strcmp(k->section, "Share") == 0 ? "Path=/x\n" : "");
        s = parse_ok(text);
    }
    for (const SettingKey *a = vm_schema.keys; a->section; a++)
        for (const SettingKey *b = a + 1; b->section; b++)
            if (a->option && b->option)
                g_assert_cmpstr(a->option, !=, b->option);
    g_assert_null(schema_find_section(&vm_schema, "Nothing"));
    g_assert_null(schema_find_key(&vm_schema, "VM", "Nothing"));
    g_assert_cmpstr(schema_find_key(&vm_schema, "Scope", "Anything")->key, ==, "*");
}

static const struct {
    const char *text, *thing, *cause, *remedy;
} bad[] = {
        {"[VM]\nMemroy=2G\n", "x.vm:2", "there is no key Memroy= in [VM]", "Did you mean Memory=?"},
        {"[VM]\nBanana=1\n", "x.vm:2", "there is no key Banana= in [VM]",
                "There are Description=, Owner=, UUID=, CPUs="},
        {"\n\n[Vm]\n", "x.vm:3", "there is no section [Vm]", "Did you mean [VM]?"},
        {"[disk root]\n", "x.vm:1", "there is no section [disk root]", "Did you mean [Disk NAME]?"},
        {"[Banana]\n", "x.vm:1", "there is no section [Banana]", "There are [VM], [Boot]"},
        {"[Disk]\n", "x.vm:1", "needs a name", "Write [Disk NAME]."},
        {"[VM x]\n", "x.vm:1", "takes no name", "Write [VM]."},
        {"[Disk a/b]\n", "x.vm:1", "cannot be the name of a section", "Allowed are"},
        {"[Disk  a]\n", "x.vm:1", "cannot be the name of a section", "Allowed are"},
        {"[Disk ]\n", "x.vm:1", "cannot be the name of a section", "Allowed are"},
        {"[Disk root]\nFormat=raw\n", "x.vm:1", "[Disk root] lacks Source=", "POOL/VOLUME"},
        {"[VM]\nMemory=2G\n\n[VM]\nMemory=3G\n", "x.vm:5", "Memory= in [VM] is set twice, first in line 2",
                "Keep one"},
        {"[Scope]\nMemoryMax=1G\nMemoryMax=2G\n", "x.vm:3", "set twice", NULL},
        {"[VM]\nMemory=\nMemory=2G\n", "x.vm:3", "set twice", NULL},
        {"[VM]\nMemory=lots\n", "x.vm:2", "\"lots\" is no valid value for Memory= in [VM]",
                "Allowed is a size such as 2G, at least 1M, or two of them with a \"/\" between, now and at most."},
        {"[VM]\nMemory=1023K\n", "x.vm:2", "out of range", "at least 1M"},
        {"[VM]\nMemory=99999999T\n", "x.vm:2", "out of range", NULL},
        {"[VM]\nCPUs=0\n", "x.vm:2", "CPUs=0 in [VM] is out of range", "a whole number from 1 to 4096"},
        {"[VM]\nCPUs=4097\n", "x.vm:2", "out of range", NULL},
        {"[VM]\nCPUs=3/2\n", "x.vm:2", "CPUs=3/2 in [VM] is out of range", "now and at most"},
        {"[VM]\nCPUs=0/2\n", "x.vm:2", "out of range", NULL},
        {"[VM]\nCPUs=1/4097\n", "x.vm:2", "out of range", NULL},
        {"[VM]\nCPUs=1/2/3\n", "x.vm:2", "no valid value", NULL},
        {"[VM]\nCPUs=1/\n", "x.vm:2", "no valid value", NULL},
        {"[VM]\nMemory=/1G\n", "x.vm:2", "no valid value", NULL},
        {"[Disk a]\nSource=/a\nBandwidthMax=1M/2M\n", "x.vm:3", "no valid value", "Allowed is a size such as 2G."},
        {"[VM]\nCPUs=-1\n", "x.vm:2", "no valid value", NULL},
        {"[VM]\nStopTimeout=10ms\n", "x.vm:2", "out of range", "at least 1s"},
        {"[VM]\nAccelerator=xen\n", "x.vm:2", "\"xen\" is no valid value", "Allowed is auto, kvm or tcg."},
        {"[VM]\nAccelerator=auto|kvm\n", "x.vm:2", "no valid value", NULL},
        {"[VM]\nAccelerator=kv\n", "x.vm:2", "no valid value", NULL},
        {"[VM]\nUUID=00000000-0000-0000-0000-000000000000\n", "x.vm:2", "no valid value", "a UUID"},
        {"[VM]\nUUID=3e3fce640ab04b0ba2a40e2a3e8e2f10\n", "x.vm:2", "no valid value", "a UUID"},
        {"[Boot]\nKernel=vmlinuz\n", "x.vm:2", "no valid value", "an absolute path"},
        {"[Boot]\nKernel=/boot/../etc/shadow\n", "x.vm:2", "no valid value", "without \"..\""},
        {"[Boot]\nKernel=/boot/..\n", "x.vm:2", "no valid value", NULL},
        {"[Disk a]\nSource=default/../x\n", "x.vm:2", "no valid value", "POOL/VOLUME"},
        {"[Disk a]\nSource=default/x.part\n", "x.vm:2", "no valid value", "POOL/VOLUME"},
        {"[Disk a]\nSource=x.qcow2\n", "x.vm:2", "no valid value", "POOL/VOLUME"},
        {"[Disk a]\nSource=/a\nReadOnly=maybe\n", "x.vm:3", "no valid value", "yes or no"},
        {"[Disk a]\nSource=/a\nSerial=123456789012345678901\n", "x.vm:3", "no valid value",
                "at most 20 bytes"},
        {"[VM]\nDescription=tab\there\n", "x.vm:2", "no valid value", "one line of text"},
        {"[VM]\nDescription=bell\a\n", "x.vm:2", "control character", NULL},
        {"[VM]\nDescription=c1 \xc2\x9b\n", "x.vm:2", "control character", NULL},
        {"[VM]\nDescription=a\rMemory=1G\n", "x.vm:2", "control character", NULL},
        {"[Console]\nLogSize=65M\n", "x.vm:2", "out of range", "from 64K to 64M"},
        {"[Scope]\nMemoryMaxx=1G\n", "x.vm:2", "MemoryMaxx= is no resource-control property",
                "Did you mean MemoryMax=?"},
        {"[Scope]\nBanana=\n", "x.vm:2", "Banana= is no resource-control property", NULL},
        {"[Scope]\nMemoryMax=plenty\n", "x.vm:2", "\"plenty\" is no valid value for MemoryMax= in [Scope]", "Allowed is a size"},
        {"[Scope]\nSlice=system.slice\n", "x.vm:2", "no resource-control property", "Slice="},
        {"[QEMU]\nArguments='open\n", "x.vm:2", "no valid value", "quoted as in a shell"},
        {"Memory=2G\n", "x.vm:1", "before the first [Section]", "[VM]"},
        {"[VM]\nMemory\n", "x.vm:2", "neither [Section] nor Key=Value", NULL},
        {"[VM]\n; Memory=1G\n", "x.vm:2", "there is no key ; Memory=", NULL},
        {"[VM]\n; old\n", "x.vm:2", "a comment starts with \"#\"", NULL},
        {"[VM]\n=2G\n", "x.vm:2", "no key before", NULL},
        {"[VM\n", "x.vm:1", "\"]\" is missing", NULL},
        {"[VM] x\n", "x.vm:1", "after the \"]\"", NULL},
        {"[]\n", "x.vm:1", "not a valid section", NULL},
        {"[V[M]\n", "x.vm:1", "not a valid section", NULL},
        {"[VM]\n# caf\xe9\n", "x.vm:2", "the byte 0xe9 is not UTF-8", "Save the file as UTF-8."},
        {"[VM]\r\nCPUs=0\r\n", "x.vm:2", "out of range", NULL},
};

static void bad_texts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        check_fails(bad[i].text, strlen(bad[i].text), bad[i].thing, bad[i].cause, bad[i].remedy);
    check_fails("[VM]\nCPUs=1\0\n", 13, "x.vm:2", "NUL byte", NULL);
}

static void limits(void)
{
    g_autoptr(GString) sections = g_string_new(NULL), most = g_string_new(NULL);
    g_autofree char *large = g_strnfill(SETTINGS_FILE_MAX + 1, '\n'), *path = NULL, *endless = NULL;
    g_autoptr(Settings) s = NULL, t = NULL;

    check_fails(large, SETTINGS_FILE_MAX + 1, "x.vm", "more than 262144 bytes", NULL);
    s = settings_parse(&vm_schema, large, SETTINGS_FILE_MAX, "x.vm", NULL);
    g_assert_nonnull(s);

    for (unsigned i = 0; i < SETTINGS_SECTIONS_MAX; i++)
        g_string_append_printf(most, "[Disk d%u]\nSource=/d%u\n", i, i);
    t = parse_ok(most->str);
    g_string_append(sections, most->str);
    g_string_append(sections, "[VM]\n");
    check_fails(sections->str, sections->len, "x.vm:513", "more than 256 sections", NULL);

    path = g_strnfill(5000, 'a');
    endless = g_strdup_printf("[Boot]\nKernel=/%s\n", path);
    check_fails(endless, strlen(endless), "x.vm:2", "no valid value", NULL);
}

static void windows_files(void)
{
    g_autoptr(Settings) s = parse_ok("\xef\xbb\xbf[VM]\r\nDescription=a b \r\n\r\n# x\r\nCPUs=3\r\n");

    g_assert_cmpstr(settings_get_string(s, "VM", "Description"), ==, "a b");
    g_assert_cmpuint(settings_get_number(s, "VM", "CPUs"), ==, 3);
    g_assert_cmpstr(settings_origin(s, "VM", "CPUs"), ==, "x.vm:5");
}

static void empty_values(void)
{
    g_autoptr(Settings) s =
            parse_ok("[VM]\nMemory=\n[QEMU]\nArguments=a "
                     "b\nArguments=\nArguments=c\n[Scope]\nDeviceAllow=/dev/null\nDeviceAllow=\n");
    const char *const *words = settings_get_words(s, "QEMU", "Arguments");
    g_autofree const char **keys = settings_keys(s, "VM");

    g_assert_false(settings_has(s, "VM", "Memory"));
    g_assert_null(settings_origin(s, "VM", "Memory"));
    g_assert_cmpuint(settings_get_number(s, "VM", "Memory"), ==, UINT64_C(2) << 30);
    g_assert_null(keys[0]);
    g_assert_cmpstr(words[0], ==, "c");
    g_assert_null(words[1]);
    g_assert_null(settings_get_words(s, "Scope", "DeviceAllow"));
}

static void comment_for_words(void)
{
    g_autoptr(Settings) s = parse_ok("[QEMU]\nArguments=# nothing\n");

    g_assert_false(settings_has(s, "QEMU", "Arguments"));
    g_assert_null(settings_get_words(s, "QEMU", "Arguments"));
}

static void canonical(void)
{
    g_autoptr(Settings) a = parse_ok("[VM]\nMemory=2048M\nCPUs=1\n[Disk "
                                     "a]\nSource=/a//b\nReadOnly=1\n[Boot]\n[QEMU]\nArguments=-a 'b c'\n"),
                        b = parse_ok("# x\n[VM]\nDescription=b\nCPUs = 1\nMemory=2G\n\n[Disk "
                                     "a]\nReadOnly=yes\nSource=/a/b\n[QEMU]\nArguments=-a\nArguments=b\\ c"),
                        other_order = parse_ok("[Disk b]\nSource=/b\n[Disk a]\nSource=/a\n"),
                        order = parse_ok("[Disk a]\nSource=/a\n[Disk b]\nSource=/b\n"),
                        words = parse_ok("[QEMU]\nArguments=-a b c\n"),
                        same_words = parse_ok("[QEMU]\nArguments=-a 'b c'\n");
    g_autofree char *ta = settings_canonical(a, false), *tb = settings_canonical(b, false), *t1 = settings_canonical(order, false),
                    *t2 = settings_canonical(other_order, false), *t3 = settings_canonical(words, false),
                    *t4 = settings_canonical(same_words, false);
    g_autoptr(Settings) again = NULL;
    g_autofree char *ta_again = NULL;

    g_assert_cmpstr(ta, ==, tb);
    g_assert_cmpstr(t1, !=, t2);
    g_assert_cmpstr(t3, !=, t4);
    g_assert_nonnull(strstr(ta, "Memory=2147483648\n"));
    g_assert_null(strstr(ta, "[Boot]"));
    /* It is a settings file itself. */
    again = parse_ok(ta);
    ta_again = settings_canonical(again, false);
    g_assert_cmpstr(ta, ==, ta_again);
}

static void ranges(void)
{
    g_autoptr(Settings) s = parse_ok("[VM]\nCPUs=2/8\nMemory= 1G / 4G \n"), none = parse_ok("[VM]\nCPUs=2\n"), same = parse_ok("[VM]\nCPUs=2/2\n");
    g_autofree char *text = settings_canonical(s, false);
    g_autoptr(Settings) again = parse_ok(text);

    g_assert_cmpuint(settings_get_number(s, "VM", "CPUs"), ==, 2);
    g_assert_cmpuint(settings_get_maximum(s, "VM", "CPUs"), ==, 8);
    g_assert_cmpuint(settings_get_number(s, "VM", "Memory"), ==, UINT64_C(1) << 30);
    g_assert_cmpuint(settings_get_maximum(s, "VM", "Memory"), ==, UINT64_C(4) << 30);
    g_assert_cmpuint(settings_get_maximum(none, "VM", "CPUs"), ==, 0);
    g_assert_cmpuint(settings_get_maximum(none, "VM", "Memory"), ==, 0);
    g_assert_cmpuint(settings_get_maximum(same, "VM", "CPUs"), ==, 2);
    g_assert_nonnull(strstr(text, "CPUs=2/8\n"));
    g_assert_cmpuint(settings_get_maximum(again, "VM", "Memory"), ==, UINT64_C(4) << 30);
}

static void split_sections(void)
{
    g_autofree char *kind = NULL, *device = NULL, *kind2 = NULL, *device2 = NULL;
    g_autoptr(Error) error = NULL;

    g_assert_true(settings_section_split(&vm_schema, "Disk root", &kind, &device, NULL));
    g_assert_cmpstr(kind, ==, "Disk");
    g_assert_cmpstr(device, ==, "root");
    g_assert_true(settings_section_split(&vm_schema, "VM", &kind2, &device2, NULL));
    g_assert_cmpstr(kind2, ==, "VM");
    g_assert_null(device2);
    g_assert_false(settings_section_split(&vm_schema, "Dsk root", &kind2, &device2, &error));
    g_assert_cmpstr(kind2, ==, "VM");
    g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
}

/* GKeyFile reads the same keys and values, but for white space at the end of a line, which it keeps. */
static void as_gkeyfile_reads(void)
{
    static const char text[] = "# first\n[VM]\nDescription =  a \\n = b ; c  \n\tCPUs=\t4 \n\n  # x\n [Boot] "
                               "\nCommandLine=a\\tb\\\n"
                               "[Disk r]\r\nSource=/a b\r\n[QEMU]\nArguments=\"x\\\"y\" 'z'";
    g_autoptr(Settings) s = parse_ok(text);
    g_autoptr(GKeyFile) file = g_key_file_new();
    LineReader reader;
    g_autofree char *section = NULL;
    unsigned n = 0;
    Line line;

    g_assert_true(g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, NULL));
    line_reader_init(&reader, text, strlen(text));
    while (line_reader_next(&reader, &line)) {
        g_autofree char *name = g_strndup(line.name, line.name_length), *theirs = NULL, *ours = NULL;

        if (line.kind == LINE_SECTION) {
            g_free(section);
            section = g_steal_pointer(&name);
        }
        if (line.kind != LINE_KEY)
            continue;
        ours = g_strndup(line.value, line.value_length);
        theirs = g_key_file_get_value(file, section, name, NULL);
        g_assert_cmpstr(ours, ==, g_strchomp(theirs));
        n++;
    }
    g_assert_cmpuint(n, ==, 5);
    g_assert_cmpstr(settings_get_string(s, "Boot", "CommandLine"), ==, "a\\tb\\");
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/values", values);
    g_test_add_func("/settings/defaults", defaults);
    g_test_add_func("/settings/schema-is-sound", schema_is_sound);
    g_test_add_func("/settings/bad-texts", bad_texts);
    g_test_add_func("/settings/limits", limits);
    g_test_add_func("/settings/windows-files", windows_files);
    g_test_add_func("/settings/empty-values", empty_values);
    g_test_add_func("/settings/comment-for-words", comment_for_words);
    g_test_add_func("/settings/canonical", canonical);
    g_test_add_func("/settings/ranges", ranges);
    g_test_add_func("/settings/split-sections", split_sections);
    g_test_add_func("/settings/as-gkeyfile-reads", as_gkeyfile_reads);
    return g_test_run();
}
