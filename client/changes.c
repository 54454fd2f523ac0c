/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "changes.h"

#include <errno.h>
#include <string.h>

#include "kind.h"
#include "name.h"
#include "option.h"
#include "report.h"
#include "schema.h"
#include "scope-property.h"

typedef struct Entry {
    char *key;
    GPtrArray *values;
} Entry;

typedef struct Section {
    char *name;
    GPtrArray *entries; /* none: the section is to go */
} Section;

struct Changes {
    const ObjectKind *kind;
    GPtrArray *sections;
    const char *const *taken;
    char *directory; /* what relative paths are relative to; NULL: they stay (another machine's) */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    g_free(entry->key);
    g_ptr_array_unref(entry->values);
    g_free(entry);
}

static void section_free(gpointer data)
{
    Section *section = data;
    g_free(section->name);
    g_ptr_array_unref(section->entries);
    g_free(section);
}

static Section *get_section(Changes *changes, const char *name)
{
    for (guint i = 0; i < changes->sections->len; i++) {
        Section *section = changes->sections->pdata[i];
        if (strcmp(section->name, name) == 0)
            return section;
    }
    Section *section = g_new0(Section, 1);
    section->name = g_strdup(name);
    section->entries = g_ptr_array_new_with_free_func(entry_free);
    g_ptr_array_add(changes->sections, section);
    return section;
}

/* Whether a key given twice means both values. */
static bool takes_several(const SettingKey *key)
{
    return key && (key->type == SETTING_WORDS || key->type == SETTING_PROPERTY);
}

/* The schema's row for a key of [Disk root]. */
static const SettingKey *find_key(const Changes *changes, const char *section, const char *key)
{
    g_autofree char *base = g_strndup(section, strcspn(section, " "));
    return schema_find_key(changes->kind->schema, base, key);
}

static void add(Changes *changes, const char *section_name, const char *key, const char *value)
{
    Section *section = get_section(changes, section_name);
    const SettingKey *row = find_key(changes, section_name, key);
    Entry *entry = NULL;

    for (guint i = 0; !entry && i < section->entries->len; i++) {
        Entry *there = section->entries->pdata[i];
        if (strcmp(there->key, key) == 0)
            entry = there;
    }
    if (!entry) {
        entry = g_new0(Entry, 1);
        entry->key = g_strdup(key);
        entry->values = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(section->entries, entry);
    } else if (!takes_several(row)) {
        g_ptr_array_set_size(entry->values, 0);
    }
    bool path = row && (row->type == SETTING_PATH || (row->type == SETTING_SOURCE && !name_split_source(value, NULL, NULL)));
    bool relative = path && *value && *value != '/' && changes->directory;
    g_ptr_array_add(
            entry->values, relative ? g_canonicalize_filename(value, changes->directory) : g_strdup(value));
}

static bool is_taken(const Changes *changes, const char *section)
{
    for (const char *const *taken = changes->taken; taken && *taken; taken++)
        if (strcmp(*taken, section) == 0)
            return true;
    for (guint i = 0; i < changes->sections->len; i++)
        if (strcmp(((Section *) changes->sections->pdata[i])->name, section) == 0)
            return true;
    return false;
}

/* "Disk disk0": the first one that is free. The caller frees. */
static char *new_device(const Changes *changes, const char *kind, const char *prefix)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *section = g_strdup_printf("%s %s%u", kind, prefix, i);
        if (!is_taken(changes, section))
            return g_steal_pointer(&section);
    }
}

static bool is_named(const ObjectKind *kind, const char *name)
{
    const SettingSection *section = schema_find_section(kind->schema, name);
    return section && section->named;
}

/* Whether a section of its own name, as [Scope], takes any property of systemd's. */
static bool takes_properties(const Changes *changes, const char *section)
{
    const SettingKey *key = schema_find_key(changes->kind->schema, section, "*");
    return key && key->type == SETTING_PROPERTY;
}

static int report_unknown_key(const Changes *changes, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *sections = g_strjoinv("] nor [", (char **) changes->kind->bare);
    const char *neither = changes->kind->bare[1] ? "neither [" : "[";
    const char *has = changes->kind->bare[1] ? "has such a key" : "has no such key";

    for (const char *const *section = changes->kind->bare; *section; section++) {
        for (const SettingKey *key = changes->kind->schema->keys; key->section; key++)
            if (strcmp(key->section, *section) == 0 && strcmp(key->key, "*") != 0)
                g_ptr_array_add(names, (char *) key->key);
        for (const char *const *property = scope_property_names();
                takes_properties(changes, *section) && *property; property++)
            g_ptr_array_add(names, (char *) *property);
    }
    g_ptr_array_add(names, NULL);
    const char *nearest = option_nearest(name, (const char *const *) names->pdata);
    if (nearest)
        return report_usage("-p %s=: %s%s] %s. Did you mean %s=?", name, neither, sections, has, nearest);
    return report_usage(
            "-p %s=: %s%s] %s. For one of another section write SECTION.KEY=VALUE; %s has them all", name,
            neither, sections, has, changes->kind->schema->manual);
}

/* A key without its section: of [VM], else of [Scope]; of [Network] where it is a network. */
static int add_bare(Changes *changes, const char *name, const char *value)
{
    for (const char *const *section = changes->kind->bare; *section; section++) {
        const SettingKey *key = schema_find_key(changes->kind->schema, *section, name);
        bool is_row = key && strcmp(key->key, "*") != 0;
        bool is_property =
                takes_properties(changes, *section) && g_strv_contains(scope_property_names(), name);
        if (!is_row && !is_property)
            continue;
        add(changes, *section, name, value);
        return 0;
    }
    g_autofree char *base = g_strndup(name, strcspn(name, " "));
    if (!*value && schema_find_section(changes->kind->schema, base)) {
        (void) get_section(changes, name);
        return 0;
    }
    return report_unknown_key(changes, name);
}

/* "Disk root.Source=/srv/web.qcow2": the section ends at the last dot before the first "=". */
static int add_property(Changes *changes, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return report_usage("-p %s: it is SECTION.KEY=VALUE, such as -p %s", text, changes->kind->example);

    g_autofree char *left = g_strndup(text, (size_t) (equals - text));
    char *dot = strrchr(left, '.');
    if (!dot)
        return add_bare(changes, left, equals + 1);
    *dot = 0;
    if (dot == left || !dot[1])
        return report_usage("-p %s: it is SECTION.KEY=VALUE", text);
    add(changes, left, dot + 1, equals + 1);
    return 0;
}

static int check_text(const char *value)
{
    if (g_utf8_validate(value, -1, NULL))
        return 0;
    g_autofree char *valid = g_utf8_make_valid(value, -1);
    return report_usage("\"%s\": it is not UTF-8", valid);
}

static int add_all(Changes *changes, const Client *client)
{
    for (guint i = 0; client->changes && i < client->changes->len; i++) {
        const SettingArgument *argument = &g_array_index(client->changes, SettingArgument, i);
        int r = check_text(argument->value);
        if (r != 0)
            return r;
        if (!argument->key) {
            r = add_property(changes, argument->value);
            if (r != 0)
                return r;
        } else if (is_named(changes->kind, argument->key->section)) {
            g_autofree char *section =
                    new_device(changes, argument->key->section, kind_device_prefix(argument->key));
            add(changes, section, argument->key->key, argument->value);
        } else {
            add(changes, argument->key->section, argument->key->key, argument->value);
        }
    }
    for (guint i = 0; client->cdroms && i < client->cdroms->len; i++) {
        if (check_text(client->cdroms->pdata[i]) != 0)
            return EXIT_USAGE;
        g_autofree char *section = new_device(changes, "Disk", "cdrom");
        add(changes, section, "Source", client->cdroms->pdata[i]);
        add(changes, section, "Type", "cdrom");
    }
    return 0;
}

Changes *changes_new(const Client *client, const char *const *taken)
{
    g_autoptr(Changes) changes = g_new0(Changes, 1);
    changes->sections = g_ptr_array_new_with_free_func(section_free);
    changes->kind = client_kind(client);
    changes->taken = taken;
    changes->directory = client_is_local(client) ? g_get_current_dir() : NULL;
    if (add_all(changes, client) != 0)
        return NULL;
    changes->taken = NULL;
    return g_steal_pointer(&changes);
}

void changes_free(Changes *changes)
{
    if (!changes)
        return;
    g_ptr_array_unref(changes->sections);
    g_free(changes->directory);
    g_free(changes);
}

bool changes_is_empty(const Changes *changes)
{
    return changes->sections->len == 0;
}

bool changes_are_live(const Changes *changes)
{
    for (guint i = 0; i < changes->sections->len; i++) {
        const Section *section = changes->sections->pdata[i];
        for (guint j = 0; j < section->entries->len; j++) {
            const SettingKey *row = find_key(changes, section->name, ((const Entry *) section->entries->pdata[j])->key);
            if (!row || !row->live)
                return false;
        }
        if (section->entries->len == 0)
            return false;
    }
    return true;
}

bool changes_add_devices(const Client *client)
{
    if (client->cdroms)
        return true;
    for (guint i = 0; client->changes && i < client->changes->len; i++) {
        const SettingKey *key = g_array_index(client->changes, SettingArgument, i).key;
        if (key && is_named(client_kind(client), key->section))
            return true;
    }
    return false;
}

static int append_entry(const Entry *entry, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", entry->key);
    if (r >= 0 && entry->values->len == 1)
        r = sd_bus_message_append(m, "v", "s", entry->values->pdata[0]);
    else if (r >= 0) {
        r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'a', "s");
        for (guint i = 0; r >= 0 && i < entry->values->len; i++)
            r = sd_bus_message_append(m, "s", entry->values->pdata[i]);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

unsigned changes_count(const Changes *changes)
{
    return changes->sections->len;
}

const char *changes_first(const Changes *changes)
{
    return ((const Section *) changes->sections->pdata[0])->name;
}

static int append_section(const Section *section, sd_bus_message *m)
{
    int r = sd_bus_message_append(m, "s", section->name);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{sv}");
    for (guint j = 0; r >= 0 && j < section->entries->len; j++)
        r = append_entry(section->entries->pdata[j], m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int changes_append_section(const Changes *changes, sd_bus_message *m)
{
    return append_section(changes->sections->pdata[0], m);
}

int changes_append(const Changes *changes, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
    for (guint i = 0; r >= 0 && i < changes->sections->len; i++) {
        const Section *section = changes->sections->pdata[i];
        r = sd_bus_message_open_container(m, 'e', "sa{sv}");
        if (r >= 0)
            r = append_section(section, m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}
