/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmctl's command line: verbs, options, settings, and what is said when they make no sense. */
#include <string.h>

#include "changes.h"
#include "json.h"
#include "option.h"
#include "schema.h"
#include "verb.h"
#include "vmctl-harness.h"

/* Splits a command line as a shell does. */
static char **words(const char *line)
{
    char **argv;
    g_autofree char *whole = g_strconcat("vmctl ", line, NULL);
    g_assert_true(g_shell_parse_argv(whole, NULL, &argv, NULL));
    return argv;
}

static void client_clear(Client *client)
{
    g_free(client->arguments);
    g_clear_pointer(&client->properties, g_ptr_array_unref);
    g_clear_pointer(&client->changes, g_array_unref);
    g_clear_pointer(&client->cdroms, g_ptr_array_unref);
    g_clear_pointer(&client->forwards, g_ptr_array_unref);
}

/* Parses a line that must be right. */
static void parse(Client *client, char **argv)
{
    *client = (Client){};
    g_assert_cmpint(option_parse(client, (int) g_strv_length(argv), argv), ==, 0);
}

static void check_refused(const char *line, const char *said)
{
    g_auto(GStrv) argv = words(line);
    Client client = {};
    Capture capture = capture_begin(stderr);
    int r = option_parse(&client, (int) g_strv_length(argv), argv);
    g_autofree char *text = capture_end(&capture);

    if (r != EXIT_USAGE || !strstr(text, said))
        g_error("vmctl %s: %d, \"%s\" where \"%s\" was to be said", line, r, text, said);
    g_assert_true(g_str_has_prefix(text, "vmctl: "));
    client_clear(&client);
}

/* The settings of a line, as JSON. */
static char *changes_of(const char *line, const char *const *taken)
{
    g_auto(GStrv) argv = words(line);
    g_autoptr(sd_bus_message) m = message_new();
    Client client;
    int r = 0;

    parse(&client, argv);
    g_autoptr(Changes) changes = changes_new(&client, taken);
    g_assert_nonnull(changes);
    g_assert_cmpint(changes_append(changes, m), >=, 0);
    client_clear(&client);
    message_seal(m);
    g_autoptr(json_t) json = json_from_message(m, &r);
    g_assert_nonnull(json);
    return json_dumps(json, JSON_COMPACT);
}

/* `expected` has ' for ". */
static void check_changes_beside(const char *line, const char *const *taken, const char *expected)
{
    g_autofree char *json = g_strdelimit(g_strdup(expected), "'", '"'), *text = changes_of(line, taken);
    g_assert_cmpstr(text, ==, json);
}

static void check_changes(const char *line, const char *expected)
{
    check_changes_beside(line, NULL, expected);
}

static void options_stand_anywhere(void)
{
    static const char *const lines[] = {
            "start web db --no-block -q",
            "--no-block start web -q db",
            "-q --no-block start web db",
            "start --no-block -q -- web db",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_auto(GStrv) argv = words(lines[i]);
        Client client;
        parse(&client, argv);
        g_assert_cmpstr(client.verb->name, ==, "start");
        g_assert_cmpuint(client.n_arguments, ==, 2);
        g_assert_cmpstr(client.arguments[0], ==, "web");
        g_assert_cmpstr(client.arguments[1], ==, "db");
        g_assert_null(client.arguments[2]);
        g_assert_true(client.no_block);
        g_assert_true(client.quiet);
        client_clear(&client);
    }
}

static void values_stand_beside_or_behind(void)
{
    static const char *const lines[] = {
            "log web -n 5 -H root@host",
            "log web -n5 -Hroot@host",
            "log --lines=5 --host=root@host web",
            "--host root@host log --lines 5 web",
            "-H root@host log web -qn5",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_auto(GStrv) argv = words(lines[i]);
        Client client;
        parse(&client, argv);
        g_assert_cmpstr(client.verb->name, ==, "log");
        g_assert_cmpstr(client.arguments[0], ==, "web");
        g_assert_cmpstr(client.lines, ==, "5");
        g_assert_cmpstr(client.host, ==, "root@host");
        g_assert_false(client_is_local(&client));
        client_clear(&client);
    }
}

static void what_follows_two_dashes_is_no_option(void)
{
    g_auto(GStrv) argv = words("log -f web -- --grep=x -q");
    Client client;
    parse(&client, argv);
    g_assert_true(client.follow);
    g_assert_false(client.quiet);
    g_assert_cmpuint(client.n_arguments, ==, 3);
    g_assert_cmpstr(client.arguments[1], ==, "--grep=x");
    g_assert_cmpstr(client.arguments[2], ==, "-q");
    client_clear(&client);
}

static void json_modes(void)
{
    static const struct {
        const char *line;
        JsonMode mode;
    } cases[] = {
            {"list", JSON_MODE_OFF}, {"list --json=off", JSON_MODE_OFF},
            {"list --json=short", JSON_MODE_SHORT}, {"list --json=pretty", JSON_MODE_PRETTY},
            {"list -jq", JSON_MODE_SHORT}, /* stdout is no terminal */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = words(cases[i].line);
        Client client;
        parse(&client, argv);
        Capture capture = capture_begin(stdout);
        JsonMode mode = client_json(&client);
        g_free(capture_end(&capture));
        g_assert_cmpint(mode, ==, cases[i].mode);
        client_clear(&client);
    }
}

static void console_attaches_or_is_a_setting(void)
{
    g_auto(GStrv) attach = words("run --console"), setting = words("run --console=none");
    Client client;
    parse(&client, attach);
    g_assert_true(client.attach);
    g_assert_null(client.changes);
    client_clear(&client);
    parse(&client, setting);
    g_assert_false(client.attach);
    g_assert_cmpuint(client.changes->len, ==, 1);
    client_clear(&client);
}

static void nonsense_is_refused(void)
{
    check_refused("lsit", "Did you mean \"vmctl list\"?");
    check_refused("destroy web", "Did you mean \"vmctl kill\"?");
    check_refused("xyzzy", "See vmctl --help");
    check_refused("list --no-legnd", "Did you mean --no-legend?");
    check_refused("create web --memroy=2G", "Did you mean --memory?");
    check_refused("create web --qqqqqq", "See vmctl create --help");
    check_refused("list --force", "it belongs to: delete");
    check_refused("list --cpus=2", "it belongs to: create, run, set");
    check_refused("list -f", "\"list\" has no such option");
    check_refused("list -Z", "there is no such option");
    check_refused("list --json=yes", "it can be: pretty|short|off");
    check_refused("list --state=asleep", "it can be: stopped|");
    check_refused("list --quiet=yes", "it takes no value");
    check_refused("create web --cpus", "it needs a value, --cpus=N");
    check_refused("log web -n", "it needs a value, -n N");
    check_refused("start", "vmctl start NAME...");
    check_refused("console a b", "\"b\" is too much");
    check_refused("-H a -M b list", "cannot both be given");
    check_refused("--user --system list", "cannot both be given");
}

static void bad_settings_are_refused(void)
{
    static const struct {
        const char *line, *said;
    } cases[] = {
            {"set web -p CPUss=2", "Did you mean CPUs=?"},
            {"set web -p MemoryMaxx=2", "Did you mean MemoryMax=?"},
            {"set web -p Qqqqqqqqqqqqq=2", "neither [VM] nor [Scope]"},
            {"set web -p CPUs", "SECTION.KEY=VALUE"},
            {"set web -p =2", "SECTION.KEY=VALUE"},
            {"set web -p .CPUs=2", "SECTION.KEY=VALUE"},
            {"set web -p VM.=2", "SECTION.KEY=VALUE"},
            {"network set lan -p Moed=nat", "[Network] has no such key. Did you mean Mode=?"},
            {"network set lan -p MemoryMax=2G", "[Network] has no such key. For one of another section"},
            {"network set lan -p CPUs=2", "vmd.net(5) has them all"},
            {"network set lan -p Mode", "'Reservation web.Address="},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = words(cases[i].line);
        Client client;
        parse(&client, argv);
        Capture capture = capture_begin(stderr);
        Changes *changes = changes_new(&client, NULL);
        g_autofree char *text = capture_end(&capture);
        if (changes || !strstr(text, cases[i].said))
            g_error("vmctl %s: \"%s\" where \"%s\" was to be said", cases[i].line, text, cases[i].said);
        client_clear(&client);
    }
}

/* "network" and what follows are one verb, wherever options stand; alone it is its list. */
static void verbs_may_have_two_words(void)
{
    static const struct {
        const char *line, *verb, *argument;
    } cases[] = {
            {"network", "network list", NULL},
            {"-q network", "network list", NULL},
            {"network -j", "network list", NULL},
            {"network list", "network list", NULL},
            {"network list lan", "network list", "lan"},
            {"-H a network --json=short show -p Mode lan", "network show", "lan"},
            {"network create list", "network create", "list"},
            {"network set network --mode=nat", "network set", "network"},
            {"list network", "list", "network"},
            {"network -- list", "network list", NULL},
            {"tap lan -- qemu --mac=x", "tap", "lan"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) argv = words(cases[i].line);
        Client client;
        parse(&client, argv);
        g_assert_cmpstr(client.verb->name, ==, cases[i].verb);
        g_assert_cmpstr(client.arguments[0], ==, cases[i].argument);
        g_assert_true(client_kind(&client) == (strcmp(client.verb->name, "list") == 0 ? &kind_vm : &kind_network));
        client_clear(&client);
    }
    check_refused("pool lits", "Did you mean \"vmctl pool list\"?");
    check_refused("volume clone a", "it is: vmctl volume clone FROM NAME");
    check_refused("volume create a --shrink", "it belongs to: volume resize");
    check_refused("volume create a --format=vmdk", "it can be: raw|qcow2");
    check_refused("volume create a --preallocation=falloc", "it can be: off|metadata|full");
    check_refused("volume wipe a --force", "it belongs to: delete, insert, eject, volume delete");
    check_refused("pool create a --mode=nat", "it belongs to: network create, network set");
    check_refused("network start", "vmctl network start NAME...");
    check_refused("network leases a b", "\"b\" is too much; it is: vmctl network leases [NAME]");
    check_refused("network lits", "Did you mean \"vmctl network list\"?");
    check_refused("network qqqq", "network qqqq: there is no such command. See vmctl network --help");
    check_refused("network create lan --cpus=2", "it belongs to: create, run, set");
    check_refused("create web --mode=nat", "it belongs to: network create, network set");
    check_refused("network create lan --moed=nat", "Did you mean --mode?");
    check_refused("network list --state=paused", "it can be: stopped|");
}

/* What they are called by virsh and by incus. */
static void verbs_of_others_are_understood(void)
{
    static const char *const cases[][2] = {
            {"net-list", "network list"},
            {"net-start", "network start"},
            {"net-destroy", "network stop"},
            {"net-define", "network create"},
            {"net-undefine", "network delete"},
            {"net-dumpxml", "network cat"},
            {"net-edit", "network edit"},
            {"net-info", "network show"},
            {"net-dhcp-leases", "network leases"},
            {"net-autostart", "network set"},
            {"network rm", "network delete"},
            {"network ls", "network list"},
            {"network list-leases", "network leases"},
            {"domifaddr", "ip"},
            {"pool-list", "pool list"},
            {"pool-destroy", "pool stop"},
            {"pool-autostart", "pool set"},
            {"pool-refresh", "pool refresh"},
            {"pool-dumpxml", "pool cat"},
            {"vol-create", "volume create"},
            {"vol-clone", "volume clone"},
            {"vol-info", "volume show"},
            {"vol-wipe", "volume wipe"},
            {"volume rm", "volume delete"},
            {"vol", "volume"},
            {"netwrok", "network"},
            {"net", "network"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpstr(verb_suggest(cases[i][0]), ==, cases[i][1]);
    g_assert_null(verb_suggest("network qqqq"));
    g_assert_null(verb_suggest("network kill"));
}

static void pools_have_settings_of_their_own(void)
{
    check_changes("pool create a --path=/srv/a --type=nfs --what=nas:/a -p Timeout=5s",
            "{'Pool':{'Path':'/srv/a','Type':'nfs','What':'nas:/a','Timeout':'5s'}}");
    check_changes("pool set a -p Options= --autostart=yes", "{'Pool':{'Options':'','Autostart':'yes'}}");
}

/* A disk's volume is no relative path. */
static void disks_may_be_volumes(void)
{
    check_changes("create web --disk=default/web.qcow2", "{'Disk disk0':{'Source':'default/web.qcow2'}}");
}

static void text_that_is_not_utf8_is_refused(void)
{
    char *argv[] = {(char *) "vmctl", (char *) "set", (char *) "web", (char *) "--description=\xff", NULL};
    Client client;
    parse(&client, argv);
    Capture capture = capture_begin(stderr);
    g_assert_null(changes_new(&client, NULL));
    g_autofree char *text = capture_end(&capture);
    g_assert_nonnull(strstr(text, "UTF-8"));
    g_assert_true(g_utf8_validate(text, -1, NULL));
    client_clear(&client);
}

static void settings_are_the_files_sections_and_keys(void)
{
    check_changes("create web --cpus=2 --memory 2G", "{'VM':{'CPUs':'2','Memory':'2G'}}");
    check_changes("create web -p VM.CPUs=2 -p CPUs=3", "{'VM':{'CPUs':'3'}}");
    check_changes("create web -p MemoryMax=4G -p 'Scope.CPUQuota=50%'",
            "{'Scope':{'MemoryMax':'4G','CPUQuota':'50%'}}");
    check_changes("set web -p 'Disk a.Source=/a.b=c'", "{'Disk a':{'Source':'/a.b=c'}}");
    check_changes("set web -p VM.Description=", "{'VM':{'Description':''}}");
    check_changes("set web -p 'Disk a='", "{'Disk a':{}}");
    check_changes("set web -p QEMU.Arguments=-a -p QEMU.Arguments=-b", "{'QEMU':{'Arguments':['-a','-b']}}");
    check_changes("set web -p DeviceAllow=/dev/a -p DeviceAllow=/dev/b",
            "{'Scope':{'DeviceAllow':['/dev/a','/dev/b']}}");
    check_changes("create web", "{}");
}

static void disks_get_names_of_their_own(void)
{
    static const char *const taken[] = {"VM", "Disk disk0", "Disk disk2", NULL};
    check_changes("create web --disk=/a --disk=/b --cdrom=/c.iso -p 'Disk disk1.ReadOnly=yes'",
            "{'Disk disk0':{'Source':'/a'},'Disk disk1':{'Source':'/b','ReadOnly':'yes'},"
            "'Disk cdrom0':{'Source':'/c.iso','Type':'cdrom'}}");
    check_changes_beside("set web --disk=/a --disk=/b", taken,
            "{'Disk disk1':{'Source':'/a'},'Disk disk3':{'Source':'/b'}}");
}

/* A name of their own that does not change with the network. */
static void interfaces_get_names_of_their_own(void)
{
    static const char *const taken[] = {"VM", "Network net0", "Network lan", NULL};
    check_changes("create web --network=default --bridge=br0",
            "{'Network net0':{'Network':'default'},'Network net1':{'Bridge':'br0'}}");
    check_changes_beside("set web --network=lan", taken, "{'Network net1':{'Network':'lan'}}");
}

static void networks_have_settings_of_their_own(void)
{
    check_changes("network create lan --mode=routed --bridge=br0 --address=192.0.2.1/24 --address=2001:db8::1/64",
            "{'Network':{'Mode':'routed','Bridge':'br0','Address':['192.0.2.1/24','2001:db8::1/64']}}");
    check_changes("network set lan -p Mode=nat -p Network.MTU=9000 -p 'Reservation web.Address=192.0.2.7'",
            "{'Network':{'Mode':'nat','MTU':'9000'},'Reservation web':{'Address':'192.0.2.7'}}");
    check_changes("network set lan -p 'Reservation web=' -p Domain=", "{'Reservation web':{},'Network':{'Domain':''}}");
}

/* A relative path is the caller's, who may be on another machine. */
static void paths_are_made_absolute(void)
{
    g_autofree char *here = g_get_current_dir(), *path = g_build_filename(here, "a.raw", NULL);
    g_autofree char *parent = g_path_get_dirname(here), *above = g_build_filename(parent, "b.raw", NULL);
    g_autofree char *expected =
            g_strdup_printf("{'Disk disk0':{'Source':'%s'},'Disk x':{'Source':'%s'}}", path, above);
    check_changes("create web --disk=a.raw -p 'Disk x.Source=../b.raw'", expected);
    check_changes("create web --disk=a.raw -H host", "{'Disk disk0':{'Source':'a.raw'}}");
    check_changes("set web -p Boot.Kernel=", "{'Boot':{'Kernel':''}}");
    check_changes("create web --description=a/b", "{'VM':{'Description':'a/b'}}");
}

static const Verb *first_verb_for(const Option *option)
{
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && option_is_for(option, verb))
            return verb;
    return NULL;
}

/* No two options of one verb are called the same, and none hides a setting's. */
static void tables_are_sound(void)
{
    for (const Option *a = options; a->name; a++) {
        g_assert_nonnull(first_verb_for(a));
        g_assert_true(a->kind == OPTION_FLAG || a->metavar);
        for (const Option *b = a + 1; b->name; b++)
            for (const Verb *verb = verbs; verb->name; verb++)
                if (verb->handler && option_is_for(a, verb) && option_is_for(b, verb)) {
                    g_assert_cmpstr(a->name, !=, b->name);
                    g_assert_true(a->letter == 0 || a->letter != b->letter);
                }
    }
    for (const Verb *verb = verbs; verb->name; verb++)
        for (const SettingKey *key = verb_setting_keys(verb); key && key->section; key++)
            for (const Option *option = options; key->option && option->name; option++)
                if (option_is_for(option, verb) && option->kind != OPTION_FLAG)
                    g_assert_cmpstr(option->name, !=, key->option);
    for (const Verb *a = verbs; a->name; a++) {
        g_assert_true(!a->handler || (a->summary && a->synopsis && a->min <= a->max));
        for (const Verb *b = a + 1; b->name; b++)
            g_assert_cmpstr(a->name, !=, b->name);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmctl/options/stand-anywhere", options_stand_anywhere);
    g_test_add_func("/vmctl/options/values", values_stand_beside_or_behind);
    g_test_add_func("/vmctl/options/two-dashes", what_follows_two_dashes_is_no_option);
    g_test_add_func("/vmctl/options/json", json_modes);
    g_test_add_func("/vmctl/options/console", console_attaches_or_is_a_setting);
    g_test_add_func("/vmctl/options/nonsense", nonsense_is_refused);
    g_test_add_func("/vmctl/options/tables", tables_are_sound);
    g_test_add_func("/vmctl/settings/bad", bad_settings_are_refused);
    g_test_add_func("/vmctl/settings/not-utf8", text_that_is_not_utf8_is_refused);
    g_test_add_func("/vmctl/settings/sections-and-keys", settings_are_the_files_sections_and_keys);
    g_test_add_func("/vmctl/options/two-words", verbs_may_have_two_words);
    g_test_add_func("/vmctl/options/synonyms", verbs_of_others_are_understood);
    g_test_add_func("/vmctl/settings/disks", disks_get_names_of_their_own);
    g_test_add_func("/vmctl/settings/interfaces", interfaces_get_names_of_their_own);
    g_test_add_func("/vmctl/settings/networks", networks_have_settings_of_their_own);
    g_test_add_func("/vmctl/settings/pools", pools_have_settings_of_their_own);
    g_test_add_func("/vmctl/settings/disks-in-pools", disks_may_be_volumes);
    g_test_add_func("/vmctl/settings/paths", paths_are_made_absolute);
    return g_test_run();
}
