/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings.h"

#include <inttypes.h>
#include <string.h>

#include "settings-internal.h"
#include "value.h"

static void source_clear(void *p)
{
    SettingsSource *source = p;

    g_free(source->name);
    g_free(source->text);
}

static void entry_clear(void *p)
{
    SettingsEntry *entry = p;

    if (entry->list)
        g_ptr_array_unref(entry->list);
    g_free(entry->origin);
}

static void group_clear(void *p)
{
    SettingsGroup *group = p;

    g_free(group->origin);
}

Settings *settings_new(const Schema *schema)
{
    Settings *s = g_new(Settings, 1);

    s->schema = schema;
    s->sources = g_array_new(FALSE, FALSE, sizeof(SettingsSource));
    s->sections = g_array_new(FALSE, FALSE, sizeof(SettingsGroup));
    s->entries = g_array_new(FALSE, FALSE, sizeof(SettingsEntry));
    g_array_set_clear_func(s->sources, source_clear);
    g_array_set_clear_func(s->sections, group_clear);
    g_array_set_clear_func(s->entries, entry_clear);
    return s;
}

void settings_free(Settings *settings)
{
    if (!settings)
        return;

    g_array_unref(settings->entries);
    g_array_unref(settings->sections);
    g_array_unref(settings->sources);
    g_free(settings);
}

int settings_section_index(const Settings *settings, const char *section)
{
    for (unsigned i = 0; i < settings->sections->len; i++)
        if (strcmp(g_array_index(settings->sections, SettingsGroup, i).name, section) == 0)
            return (int) i;
    return -1;
}

SettingsEntry *settings_entry_find_in(const Settings *settings, unsigned section, const char *key)
{
    for (unsigned i = 0; i < settings->entries->len; i++) {
        SettingsEntry *entry = &g_array_index(settings->entries, SettingsEntry, i);

        if (entry->section == section && strcmp(entry->key, key) == 0)
            return entry;
    }
    return NULL;
}

SettingsEntry *settings_entry_find(const Settings *settings, const char *section, const char *key)
{
    int index = settings_section_index(settings, section);

    return index < 0 ? NULL : settings_entry_find_in(settings, (unsigned) index, key);
}

#define TYPE(t) (1U << (t))

/* What is set, or NULL and then the schema's row for the default. A key that no schema has is a bug here. */
static const SettingsEntry *get(const Settings *settings, const char *section, const char *key,
        unsigned types, const SettingKey **ret_schema)
{
    const char *space = strchr(section, ' ');
    g_autofree char *kind = space ? g_strndup(section, (size_t) (space - section)) : NULL;
    const SettingKey *schema = schema_find_key(settings->schema, kind ?: section, key);
    const SettingsEntry *entry;

    if (!schema || !(TYPE(schema->type) & types))
        g_error("[%s] %s= is not in the schema, or not of that type", section, key);
    *ret_schema = schema;
    entry = settings_entry_find(settings, section, key);
    return entry && entry->set ? entry : NULL;
}

bool settings_get_bool(const Settings *settings, const char *section, const char *key)
{
    const SettingKey *schema;
    const SettingsEntry *entry = get(settings, section, key, TYPE(SETTING_BOOL), &schema);
    bool value = false;

    if (entry)
        return entry->number != 0;
    if (schema->default_value && parse_boolean(schema->default_value, &value) < 0)
        g_assert_not_reached();
    return value;
}

uint64_t settings_get_number(const Settings *settings, const char *section, const char *key)
{
    const SettingKey *schema;
    const SettingsEntry *entry = get(settings, section, key,
            TYPE(SETTING_UINT) | TYPE(SETTING_SIZE) | TYPE(SETTING_DURATION), &schema);
    uint64_t value = 0;
    int r = 0;

    if (entry)
        return entry->number;
    if (!schema->default_value)
        return 0;

    if (schema->type == SETTING_UINT)
        r = parse_uint64(schema->default_value, &value);
    else if (schema->type == SETTING_SIZE)
        r = parse_size(schema->default_value, &value);
    else
        r = parse_duration(schema->default_value, &value);
    g_assert(r == 0);
    return value;
}

uint64_t settings_get_maximum(const Settings *settings, const char *section, const char *key)
{
    const SettingKey *schema;
    const SettingsEntry *entry = get(settings, section, key, TYPE(SETTING_UINT) | TYPE(SETTING_SIZE), &schema);

    g_assert(schema->ranged);
    return entry ? entry->maximum : 0;
}

const char *settings_get_string(const Settings *settings, const char *section, const char *key)
{
    const SettingKey *schema;
    const SettingsEntry *entry = get(settings, section, key,
            TYPE(SETTING_STRING) | TYPE(SETTING_PATH) | TYPE(SETTING_SOURCE) | TYPE(SETTING_ENUM) |
                    TYPE(SETTING_UUID) | TYPE(SETTING_PROPERTY),
            &schema);

    return entry ? entry->text : schema->default_value;
}

const char *const *settings_get_words(const Settings *settings, const char *section, const char *key)
{
    const SettingKey *schema;
    const SettingsEntry *entry =
            get(settings, section, key, TYPE(SETTING_WORDS) | TYPE(SETTING_PROPERTY), &schema);

    return entry ? (const char *const *) entry->list->pdata : NULL;
}

bool settings_has(const Settings *settings, const char *section, const char *key)
{
    const SettingsEntry *entry = settings_entry_find(settings, section, key);

    return entry && entry->set;
}

const char *settings_origin(const Settings *settings, const char *section, const char *key)
{
    SettingsEntry *entry = settings_entry_find(settings, section, key);

    if (!entry || !entry->set)
        return NULL;
    if (!entry->origin)
        entry->origin = g_strdup_printf(
                "%s:%u", g_array_index(settings->sources, SettingsSource, entry->source).name, entry->line);
    return entry->origin;
}

const char *settings_section_origin(const Settings *settings, const char *section)
{
    int index = settings_section_index(settings, section);
    SettingsGroup *group = index < 0 ? NULL : &g_array_index(settings->sections, SettingsGroup, index);

    if (!group)
        return NULL;
    if (!group->origin)
        group->origin = g_strdup_printf(
                "%s:%u", g_array_index(settings->sources, SettingsSource, group->source).name, group->line);
    return group->origin;
}

const char **settings_sections(const Settings *settings, const char *kind)
{
    GPtrArray *names = g_ptr_array_new();

    for (unsigned i = 0; i < settings->sections->len; i++) {
        const SettingsGroup *section = &g_array_index(settings->sections, SettingsGroup, i);

        if (!kind || strcmp(section->schema->name, kind) == 0)
            g_ptr_array_add(names, (void *) section->name);
    }
    g_ptr_array_add(names, NULL);
    return (const char **) g_ptr_array_free(names, FALSE);
}

const char **settings_keys(const Settings *settings, const char *section)
{
    int index = settings_section_index(settings, section);
    GPtrArray *keys = g_ptr_array_new();

    for (unsigned i = 0; index >= 0 && i < settings->entries->len; i++) {
        const SettingsEntry *entry = &g_array_index(settings->entries, SettingsEntry, i);

        if (entry->section == (unsigned) index && entry->set)
            g_ptr_array_add(keys, (void *) entry->key);
    }
    g_ptr_array_add(keys, NULL);
    return (const char **) g_ptr_array_free(keys, FALSE);
}

static char *value_canonical(const SettingsEntry *entry)
{
    switch (entry->schema->type) {
    case SETTING_BOOL:
        return g_strdup(entry->number ? "yes" : "no");
    case SETTING_UINT:
    case SETTING_SIZE:
        if (entry->maximum > 0)
            return g_strdup_printf("%" PRIu64 "/%" PRIu64, entry->number, entry->maximum);
        return g_strdup_printf("%" PRIu64, entry->number);
    case SETTING_DURATION:
        return format_duration(entry->number);
    case SETTING_WORDS:
        return format_words((const char *const *) entry->list->pdata);
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_SOURCE:
    case SETTING_ENUM:
    case SETTING_UUID:
        return g_strdup(entry->text);
    case SETTING_PROPERTY:
    case _SETTING_TYPE_MAX:
        break;
    }
    g_assert_not_reached();
}

/* One line, or of a property with several lines all of them, in order. */
static char *entry_canonical(const SettingsEntry *entry)
{
    g_autofree char *value = NULL;
    GString *s;

    if (entry->schema->type != SETTING_PROPERTY) {
        value = value_canonical(entry);
        return g_strdup_printf("%s=%s\n", entry->key, value);
    }
    s = g_string_new(NULL);
    for (unsigned i = 0; i + 1 < entry->list->len; i++)
        g_string_append_printf(s, "%s=%s\n", entry->key, (const char *) entry->list->pdata[i]);
    return g_string_free(s, FALSE);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

char *settings_canonical(const Settings *settings, bool live)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < settings->sections->len; i++) {
        const SettingsGroup *section = &g_array_index(settings->sections, SettingsGroup, i);
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        for (unsigned j = 0; j < settings->entries->len; j++) {
            const SettingsEntry *entry = &g_array_index(settings->entries, SettingsEntry, j);

            if (entry->section == i && entry->set && (live || !entry->schema->live))
                g_ptr_array_add(lines, entry_canonical(entry));
        }
        /* A named section means something by being there; the others only by their keys. */
        if (lines->len == 0 && !section->schema->named)
            continue;
        g_ptr_array_sort(lines, compare_lines);
        g_string_append_printf(s, "[%s]\n", section->name);
        for (unsigned j = 0; j < lines->len; j++)
            g_string_append(s, lines->pdata[j]);
    }
    return g_string_free(s, FALSE);
}

bool settings_section_split(const Schema *all, const char *section, char **ret_kind, char **ret_device, Error **ret_error)
{
    const SettingSection *schema;
    const char *device;

    schema = settings_section_check(all, section, NULL, &device, ret_error);
    if (!schema)
        return false;
    *ret_kind = g_strdup(schema->name);
    *ret_device = g_strdup(device);
    return true;
}
