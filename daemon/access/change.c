/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "change.h"

#include <string.h>
#include <unistd.h>

#include "access.h"
#include "schema.h"

/* The strictest first. `removal`: to take the key away is as much as to set it. */
static const struct {
    const char *section, *key; /* key NULL: any */
    const char *action;
    bool removal;
} rules[] = {
    {"QEMU", NULL, ACTION_RAW_QEMU_ARGUMENTS, true},
    {"Scope", "BPFProgram", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"Scope", "IPIngressFilterPath", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"Scope", "IPEgressFilterPath", ACTION_RAW_QEMU_ARGUMENTS, false},
    {"VM", "Owner", ACTION_CHANGE_OWNER, true},
    {"Scope", "DeviceAllow", ACTION_ATTACH_HOST_DEVICE, false},
    {"Scope", "DevicePolicy", ACTION_ATTACH_HOST_DEVICE, false},
    {"Disk", "Source", ACTION_USE_FOREIGN_PATHS, false},
    /* A guest may have written into its raw disk what names any file, once somebody calls that disk qcow2. */
    {"Disk", "Format", ACTION_USE_FOREIGN_PATHS, true},
    {"Boot", "Kernel", ACTION_USE_FOREIGN_PATHS, false},
    {"Boot", "Initrd", ACTION_USE_FOREIGN_PATHS, false},
};

static bool is_kind(const char *section, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(section, kind, n) == 0 && (section[n] == 0 || section[n] == ' ' || section[n] == '\t');
}

const char *change_action(const SettingsChange *changes, size_t n)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
        for (size_t j = 0; j < n; j++) {
            const SettingsChange *c = &changes[j];
            bool removes = !c->key || !c->values || !c->values[0];
            bool whole = !c->key || !rules[i].key;
            if (is_kind(c->section, rules[i].section) && (whole || g_str_equal(c->key, rules[i].key)) && (!removes || rules[i].removal))
                return rules[i].action;
        }
    return NULL;
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

static GHashTable *lines_of_rule(const Settings *settings, size_t rule)
{
    GHashTable *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree const char **sections = settings ? settings_sections(settings, rules[rule].section) : NULL;
    for (size_t i = 0; sections && sections[i]; i++)
        add_lines(lines, settings, sections[i], rules[rule].section, rules[rule].key);
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

const char *change_action_of_text(const char *before, const char *after)
{
    g_autoptr(Settings) old = settings_parse_partial(&vm_schema, before, strlen(before), "before", NULL);
    g_autoptr(Settings) new = settings_parse_partial(&vm_schema, after, strlen(after), "after", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autoptr(GHashTable) had = lines_of_rule(old, i), has = lines_of_rule(new, i);
        if (!has_all(had, has) || (rules[i].removal && !has_all(has, had)))
            return rules[i].action;
    }
    return NULL;
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
