/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "change.h"

#include <string.h>
#include <unistd.h>

#include "access.h"
#include "schema.h"

/* `removal`: to take the key away is as much as to set it. */
typedef struct Rule {
    const char *section, *key; /* key NULL: any, and the section itself */
    const char *action;
    bool removal;
} Rule;

/* The strictest first, in each of the two. */
static const Rule network_rules[] = {
    {"Network", "Bridge", ACTION_USE_HOST_LINK, false},
    {"Network", "Macvtap", ACTION_USE_HOST_LINK, false},
    {"Network", NULL, ACTION_USE_NETWORK, false},
};

static const Rule rules[] = {
    {"QEMU", NULL, ACTION_RAW_QEMU_ARGUMENTS, true},
    {"Scope", "BPFProgram", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"Scope", "IPIngressFilterPath", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"Scope", "IPEgressFilterPath", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"VM", "Owner", ACTION_CHANGE_OWNER, true},
    {"Scope", "DeviceAllow", ACTION_ATTACH_HOST_DEVICE, false},
    {"Scope", "DevicePolicy", ACTION_ATTACH_HOST_DEVICE, false},
    {"PCI", NULL, ACTION_ATTACH_HOST_DEVICE, false},
    {"USB", NULL, ACTION_ATTACH_HOST_DEVICE, false},
    {"Display", "Listen", ACTION_LISTEN, false},
    {"Disk", "Source", ACTION_USE_FOREIGN_PATHS, false},
    /* A guest may have written into its raw disk what names any file, once somebody calls that disk qcow2. */
    {"Disk", "Format", ACTION_USE_FOREIGN_PATHS, true},
    {"Boot", "Kernel", ACTION_USE_FOREIGN_PATHS, false},
    {"Boot", "Initrd", ACTION_USE_FOREIGN_PATHS, false},
    {"Serial", "Device", ACTION_USE_FOREIGN_PATHS, false},
    {"Parallel", "Device", ACTION_USE_FOREIGN_PATHS, false},
    {"Display", "GL", ACTION_USE_FOREIGN_PATHS, false},
    {"Display", "RenderNode", ACTION_USE_FOREIGN_PATHS, false},
    {"Share", "Path", ACTION_USE_FOREIGN_PATHS, false},
    {"Share", "ReadOnly", ACTION_USE_FOREIGN_PATHS, true},
    {"Credentials", "Load", ACTION_USE_FOREIGN_PATHS, false},
    {"CloudInit", "UserData", ACTION_USE_FOREIGN_PATHS, false},
    {"CloudInit", "NetworkConfig", ACTION_USE_FOREIGN_PATHS, false},
};

static bool is_kind(const char *section, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(section, kind, n) == 0 && (section[n] == 0 || section[n] == ' ' || section[n] == '\t');
}

static bool rule_meets(const Rule *rule, const SettingsChange *c)
{
    bool removes = !c->key || !c->values || !c->values[0];
    bool whole = !c->key || !rule->key;
    return is_kind(c->section, rule->section) && (whole || g_str_equal(c->key, rule->key)) && (!removes || rule->removal);
}

static const char *find_action(const Rule *table, size_t n_rules, const SettingsChange *changes, size_t n)
{
    for (size_t i = 0; i < n_rules; i++)
        for (size_t j = 0; j < n; j++)
            if (rule_meets(&table[i], &changes[j]))
                return table[i].action;
    return NULL;
}

/* A section that names none is on the network "default". */
static void add_network(GString *networks, const char *name)
{
    g_string_append_printf(networks, "%s%s", networks->len > 0 ? "," : "", name);
}

static bool names_a_link(const char *key)
{
    return g_str_equal(key, "Network") || g_str_equal(key, "Bridge") || g_str_equal(key, "Macvtap");
}

static char *networks_of_changes(const SettingsChange *changes, size_t n)
{
    g_autoptr(GString) networks = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        const SettingsChange *c = &changes[i];
        if (is_kind(c->section, "Network") && c->key && c->values && c->values[0] && names_a_link(c->key))
            add_network(networks, c->values[0]);
    }
    if (networks->len == 0)
        add_network(networks, "default");
    return g_string_free(g_steal_pointer(&networks), FALSE);
}

void change_actions(const SettingsChange *changes, size_t n, ChangeActions *ret)
{
    *ret = (ChangeActions){
        .action = find_action(rules, G_N_ELEMENTS(rules), changes, n),
        .also = find_action(network_rules, G_N_ELEMENTS(network_rules), changes, n),
    };
    if (ret->also)
        ret->networks = networks_of_changes(changes, n);
}

void change_actions_clear(ChangeActions *actions)
{
    g_clear_pointer(&actions->networks, g_free);
}

/* "[Disk root]Source=/a", for each key that the rule means. */
static void add_lines(GHashTable *lines, const Settings *settings, const char *section, const char *kind, const char *wanted)
{
    g_autofree const char **keys = settings_keys(settings, section);
    for (size_t i = 0; keys && keys[i]; i++) {
        if (wanted && !g_str_equal(keys[i], wanted))
            continue;
        SettingType type = schema_find_key(&vm_schema, kind, keys[i])->type;
        bool list = type == SETTING_WORDS || type == SETTING_PROPERTY;
        g_autofree char *words = list ? g_strjoinv("\n", (char **) settings_get_words(settings, section, keys[i])) : NULL;
        const char *text = list ? words : settings_get_string(settings, section, keys[i]);
        g_hash_table_add(lines, g_strdup_printf("[%s]%s=%s", section, keys[i], text));
    }
}

static GHashTable *lines_of_rule(const Settings *settings, const Rule *rule)
{
    GHashTable *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree const char **sections = settings ? settings_sections(settings, rule->section) : NULL;
    for (size_t i = 0; sections && sections[i]; i++) {
        add_lines(lines, settings, sections[i], rule->section, rule->key);
        if (!rule->key) /* a named section means something by being there */
            g_hash_table_add(lines, g_strdup_printf("[%s]", sections[i]));
    }
    return lines;
}

static bool has_all(GHashTable *lines, GHashTable *wanted)
{
    GHashTableIter iter;
    gpointer line;
    g_hash_table_iter_init(&iter, wanted);
    while (g_hash_table_iter_next(&iter, &line, NULL))
        if (!g_hash_table_contains(lines, line))
            return false;
    return true;
}

static const char *find_action_of_text(const Rule *table, size_t n_rules, const Settings *old, const Settings *new)
{
    for (size_t i = 0; i < n_rules; i++) {
        g_autoptr(GHashTable) had = lines_of_rule(old, &table[i]), has = lines_of_rule(new, &table[i]);
        if (!has_all(had, has) || (table[i].removal && !has_all(has, had)))
            return table[i].action;
    }
    return NULL;
}

static char *networks_of_settings(const Settings *settings)
{
    static const char *const keys[] = {"Bridge", "Macvtap", "Network"};
    g_autoptr(GString) networks = g_string_new(NULL);
    g_autofree const char **sections = settings_sections(settings, "Network");
    for (size_t i = 0; sections[i]; i++) {
        const char *name = NULL;
        for (size_t j = 0; !name && j < G_N_ELEMENTS(keys); j++)
            name = settings_get_string(settings, sections[i], keys[j]);
        add_network(networks, name ? name : "default");
    }
    return g_string_free(g_steal_pointer(&networks), FALSE);
}

void change_actions_of_text(const char *before, const char *after, ChangeActions *ret)
{
    g_autoptr(Settings) old = settings_parse_partial(&vm_schema, before, strlen(before), "before", NULL);
    g_autoptr(Settings) new = settings_parse_partial(&vm_schema, after, strlen(after), "after", NULL);
    *ret = (ChangeActions){
        .action = find_action_of_text(rules, G_N_ELEMENTS(rules), old, new),
        .also = find_action_of_text(network_rules, G_N_ELEMENTS(network_rules), old, new),
    };
    if (ret->also && new)
        ret->networks = networks_of_settings(new);
}

bool change_find_owner(const Settings *settings, uid_t *ret_uid, Error **ret_error)
{
    const char *owner = settings_get_string(settings, "VM", "Owner");
    if (!owner) {
        *ret_uid = geteuid();
        return true;
    }
    if (identity_find(owner, ret_uid))
        return true;
    g_autofree char *thing = g_strdup_printf("Owner=%s", owner);
    return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Name a user of /etc/passwd, or any user by number",
        "there is no such user");
}
