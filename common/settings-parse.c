/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "name.h"
#include "scope-property.h"
#include "settings-internal.h"
#include "settings-text.h"
#include "value.h"

/* Where the reader stands. */
typedef struct Parser {
    Settings *settings;
    const char *origin;
    unsigned source;
    int section; /* -1: before the first */
    unsigned line;
    Error **ret_error;
} Parser;

static bool G_GNUC_PRINTF(3, 4) fail(Parser *p, const char *remedy, const char *cause, ...)
{
    g_autofree char *thing = g_strdup_printf("%s:%u", p->origin, p->line), *text = NULL;
    va_list ap;

    va_start(ap, cause);
    text = g_strdup_vprintf(cause, ap);
    va_end(ap);
    return error_set(p->ret_error, ERROR_INVALID_SETTINGS, thing, remedy, "%s", text);
}

const SettingSection *settings_section_check(
        const Schema *all, const char *section, const char *thing, const char **ret_device, Error **ret_error)
{
    const char *space = strchr(section, ' '), *device = space ? space + 1 : NULL;
    g_autofree char *kind = g_strndup(section, space ? (size_t) (space - section) : strlen(section)),
                    *remedy = NULL;
    const SettingSection *schema = schema_find_section(all, kind);

    if (!schema) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        const char *near;

        for (const SettingSection *s = all->sections; s->name; s++)
            g_ptr_array_add(names, (void *) s->name);
        g_ptr_array_add(names, NULL);
        near = name_nearest(kind, (const char *const *) names->pdata);
        if (near)
            remedy = g_strdup_printf(
                    "Did you mean [%s%s]?", near, schema_find_section(all, near)->named ? " NAME" : "");
        else {
            g_autofree char *list = g_strjoinv("], [", (char **) names->pdata);
            remedy = g_strdup_printf("There are [%s].", list);
        }
        error_set(ret_error, ERROR_INVALID_SETTINGS, thing, remedy, "there is no section [%.64s]", section);
        return NULL;
    }
    if (schema->named && !device) {
        remedy = g_strdup_printf("Write [%s NAME].", kind);
        error_set(ret_error, ERROR_INVALID_SETTINGS, thing, remedy, "the section [%s] needs a name", kind);
        return NULL;
    }
    if (!schema->named && device) {
        remedy = g_strdup_printf("Write [%s].", kind);
        error_set(ret_error, ERROR_INVALID_SETTINGS, thing, remedy, "the section [%s] takes no name", kind);
        return NULL;
    }
    if (device && !device_name_is_valid(device)) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, thing,
                "Allowed are 1 to 32 characters from A-Z, a-z, 0-9, \"_\" and \"-\", the first one a letter "
                "or a digit.",
                "\"%.64s\" cannot be the name of a section", device);
        return NULL;
    }
    *ret_device = device;
    return schema;
}

const SettingKey *settings_key_check(const Schema *all, const char *kind, const char *key, const char *thing, Error **ret_error)
{
    const SettingKey *schema = schema_find_key(all, kind, key);
    g_autoptr(GPtrArray) names = NULL;
    g_autofree char *remedy = NULL;
    const char *near;

    if (schema && schema->type == SETTING_PROPERTY) {
        g_autoptr(Error) error = NULL;

        if (scope_property_check_name(key, &error))
            return schema;
        error_set(ret_error, ERROR_INVALID_SETTINGS, thing, error->remedy, "%s", error->cause);
        return NULL;
    }
    if (schema)
        return schema;

    names = g_ptr_array_new();
    for (const SettingKey *k = all->keys; k->section; k++)
        if (strcmp(k->section, kind) == 0)
            g_ptr_array_add(names, (void *) k->key);
    g_ptr_array_add(names, NULL);
    near = name_nearest(key, (const char *const *) names->pdata);
    if (near)
        remedy = g_strdup_printf("Did you mean %s=?", near);
    else {
        g_autofree char *list = g_strjoinv("=, ", (char **) names->pdata);
        remedy = g_strdup_printf("There are %s=.", list);
    }
    error_set(ret_error, ERROR_INVALID_SETTINGS, thing, remedy, "there is no key %.64s= in [%s]", key, kind);
    return NULL;
}

bool settings_key_repeats(const SettingKey *schema, const char *key)
{
    return schema->type == SETTING_WORDS || (schema->type == SETTING_PROPERTY && scope_property_repeats(key));
}

/* "Allowed is a size such as 2G, from 64K to 64M." */
static char *allowed(const SettingKey *schema)
{
    char *(*format)(uint64_t) = schema->type == SETTING_DURATION ? format_duration : format_size;
    GString *s = g_string_new("Allowed is ");

    if (schema->type == SETTING_ENUM) {
        g_auto(GStrv) words = g_strsplit(schema->words, "|", -1);

        for (unsigned i = 0; words[i]; i++)
            g_string_append_printf(s, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    } else
        g_string_append(s, setting_type_to_string(schema->type));

    if (schema->type == SETTING_UINT)
        g_string_append_printf(s, " from %u to %u", (unsigned) schema->min,
                schema->max ? (unsigned) schema->max : UINT32_MAX);
    else if (schema->type == SETTING_SIZE || schema->type == SETTING_DURATION) {
        g_autofree char *min = format(schema->min), *max = format(schema->max);

        if (schema->min && schema->max)
            g_string_append_printf(s, ", from %s to %s", min, max);
        else if (schema->min)
            g_string_append_printf(s, ", at least %s", min);
        else if (schema->max)
            g_string_append_printf(s, ", at most %s", max);
    } else if (schema->type == SETTING_STRING && schema->max)
        g_string_append_printf(s, " of at most %u bytes", (unsigned) schema->max);
    if (schema->ranged)
        g_string_append(s, ", or two of them with a \"/\" between, now and at most");
    g_string_append_c(s, '.');
    return g_string_free(s, FALSE);
}

static int parse_number(const SettingKey *schema, const char *value, uint64_t *ret)
{
    uint64_t v = 0;
    bool b = false;
    int r;

    if (schema->type == SETTING_BOOL) {
        r = parse_boolean(value, &b);
        v = b;
    } else if (schema->type == SETTING_UINT)
        r = parse_uint64(value, &v);
    else if (schema->type == SETTING_SIZE)
        r = parse_size(value, &v);
    else
        r = parse_duration(value, &v);
    if (r < 0)
        return r;
    if (v < schema->min || (schema->max > 0 && v > schema->max) ||
            (schema->type == SETTING_UINT && v > UINT32_MAX))
        return -ERANGE;
    *ret = v;
    return 0;
}

/* "2/8": what it is now, and what it can become. */
static int parse_numbers(SettingsEntry *entry, char *value)
{
    char *slash = entry->schema->ranged ? strchr(value, '/') : NULL;
    g_autofree char *now = slash ? g_strndup(value, (size_t) (slash - value)) : NULL;
    uint64_t number, maximum = 0;
    int r = parse_number(entry->schema, now ? g_strchomp(now) : value, &number);

    if (r >= 0 && slash)
        r = parse_number(entry->schema, g_strchug(slash + 1), &maximum);
    if (r < 0)
        return r;
    if (slash && maximum < number)
        return -ERANGE;
    entry->number = number;
    entry->maximum = maximum;
    return 0;
}

/* Makes one slash of several and drops those at the end, in place. */
static int normalise_path(char *path)
{
    char *to = path;

    if (path[0] != '/' || strlen(path) >= PATH_MAX || strchr(path, '\t'))
        return -EINVAL;
    for (const char *from = path; *from != '\0';) {
        size_t n = strspn(from, "/"), m = strcspn(from + n, "/");

        from += n;
        if (m == 2 && strncmp(from, "..", 2) == 0)
            return -EINVAL;
        if (m > 0 && !(m == 1 && *from == '.')) {
            *to++ = '/';
            memmove(to, from, m);
            to += m;
        }
        from += m;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
    return 0;
}

static bool is_one_of(const char *value, const char *words)
{
    size_t n = strlen(value);

    for (const char *w = words; n > 0; w += strcspn(w, "|") + 1) {
        if (strcspn(w, "|") == n && strncmp(w, value, n) == 0)
            return true;
        if (w[strcspn(w, "|")] == '\0')
            break;
    }
    return false;
}

/* Lower case in place. */
static int normalise_uuid(char *value)
{
    bool is_null = true;

    if (!g_uuid_string_is_valid(value))
        return -EINVAL;
    for (char *p = value; *p != '\0'; p++) {
        *p = g_ascii_tolower(*p);
        is_null = is_null && (*p == '0' || *p == '-');
    }
    return is_null ? -EINVAL : 0;
}

static int parse_into_list(SettingsEntry *entry, const char *value)
{
    char **words;
    int r = parse_words(value, &words);

    if (r < 0)
        return r;
    /* The NULL at the end goes on top of the list again. */
    g_ptr_array_set_size(entry->list, (int) entry->list->len - 1);
    for (unsigned i = 0; words[i]; i++)
        g_ptr_array_add(entry->list, words[i]);
    g_ptr_array_add(entry->list, NULL);
    g_free(words);
    return 0;
}

static bool parse_property(Parser *p, SettingsEntry *entry, const char *value)
{
    g_autofree char *thing = g_strdup_printf("%s:%u", p->origin, p->line);
    g_autoptr(Error) error = NULL;

    if (!scope_property_check(entry->key, value, &error))
        return error_set(p->ret_error, ERROR_INVALID_SETTINGS, thing, error->remedy, "%s", error->cause);
    if (!settings_key_repeats(entry->schema, entry->key))
        g_ptr_array_set_size(entry->list, 0);
    else
        g_ptr_array_set_size(entry->list, (int) entry->list->len - 1);
    g_ptr_array_add(entry->list, (void *) value);
    g_ptr_array_add(entry->list, NULL);
    entry->text = value;
    return true;
}

static bool parse_value(Parser *p, SettingsEntry *entry, char *value)
{
    const SettingKey *schema = entry->schema;
    g_autofree char *remedy = NULL;
    int r = 0;

    switch (schema->type) {
    case SETTING_BOOL:
    case SETTING_UINT:
    case SETTING_SIZE:
    case SETTING_DURATION:
        r = parse_numbers(entry, value);
        break;
    case SETTING_STRING:
        if (strchr(value, '\t') || (schema->max && strlen(value) > schema->max))
            r = -EINVAL;
        break;
    case SETTING_PATH:
        r = normalise_path(value);
        break;
    case SETTING_SOURCE:
        r = name_split_source(value, NULL, NULL) ? 0 : normalise_path(value);
        break;
    case SETTING_ENUM:
        r = is_one_of(value, schema->words) ? 0 : -EINVAL;
        break;
    case SETTING_UUID:
        r = normalise_uuid(value);
        break;
    case SETTING_WORDS:
        r = parse_into_list(entry, value);
        /* A line that is all comment says nothing. */
        entry->set = entry->list->len > 1;
        break;
    case SETTING_PROPERTY:
        return parse_property(p, entry, value);
    case _SETTING_TYPE_MAX:
        g_assert_not_reached();
    }
    if (r == 0) {
        entry->text = value;
        return true;
    }

    remedy = allowed(schema);
    if (r == -ERANGE)
        return fail(p, remedy, "%s=%.100s in [%s] is out of range", entry->key, value, schema->section);
    return fail(
            p, remedy, "\"%.100s\" is no valid value for %s= in [%s]", value, entry->key, schema->section);
}

static bool enter_section(Parser *p, const char *name)
{
    g_autofree char *thing = g_strdup_printf("%s:%u", p->origin, p->line);
    SettingsGroup section = {.name = name, .source = p->source, .line = p->line};
    const char *device;

    section.schema = settings_section_check(p->settings->schema, name, thing, &device, p->ret_error);
    if (!section.schema)
        return false;
    p->section = settings_section_index(p->settings, name);
    if (p->section >= 0)
        return true;
    if (p->settings->sections->len >= SETTINGS_SECTIONS_MAX)
        return fail(p, NULL, "there are more than %u sections", SETTINGS_SECTIONS_MAX);
    p->section = (int) p->settings->sections->len;
    g_array_append_val(p->settings->sections, section);
    return true;
}

static SettingsEntry *enter_key(Parser *p, const char *key)
{
    const SettingsGroup *section = &g_array_index(p->settings->sections, SettingsGroup, p->section);
    SettingsEntry *entry = settings_entry_find_in(p->settings, (unsigned) p->section, key), new_entry;
    const SettingKey *schema;

    if (!entry) {
        g_autofree char *thing = g_strdup_printf("%s:%u", p->origin, p->line);

        schema = settings_key_check(p->settings->schema, section->schema->name, key, thing, p->ret_error);
        if (!schema)
            return NULL;
        new_entry = (SettingsEntry){.schema = schema, .key = key, .section = (unsigned) p->section};
        if (schema->type == SETTING_WORDS)
            new_entry.list = g_ptr_array_new_with_free_func(g_free);
        else if (schema->type == SETTING_PROPERTY)
            new_entry.list = g_ptr_array_new();
        if (new_entry.list)
            g_ptr_array_add(new_entry.list, NULL);
        g_array_append_val(p->settings->entries, new_entry);
        entry = &g_array_index(p->settings->entries, SettingsEntry, p->settings->entries->len - 1);
    } else if (entry->source == p->source && !settings_key_repeats(entry->schema, key)) {
        fail(p, "Keep one of the two.", "%s= in [%s] is set twice, first in line %u", key, section->name,
                entry->line);
        return NULL;
    }
    entry->source = p->source;
    entry->line = p->line;
    return entry;
}

static bool merge_line(Parser *p, const Line *line)
{
    SettingsEntry *entry;
    char *name, *value;

    p->line = line->number;
    if (line->kind == LINE_BLANK || line->kind == LINE_COMMENT)
        return true;
    if (line->kind == LINE_BROKEN)
        return fail(p, NULL, "%s", line->problem);

    /* The text is ours: values are cut out of it where they stand. */
    name = (char *) line->name;
    name[line->name_length] = '\0';
    if (line->kind == LINE_SECTION)
        return enter_section(p, name);
    if (p->section < 0)
        return fail(p, "Begin with [VM].", "the key %.64s= stands before the first [Section]", name);

    value = (char *) line->value;
    value[line->value_length] = '\0';
    entry = enter_key(p, name);
    if (!entry)
        return false;
    entry->set = value[0] != '\0';
    if (entry->set)
        return parse_value(p, entry, value);
    if (entry->list) {
        g_ptr_array_set_size(entry->list, 0);
        g_ptr_array_add(entry->list, NULL);
    }
    return true;
}

bool settings_merge(Settings *settings, char *text, size_t length, const char *origin, Error **ret_error)
{
    SettingsSource source = {.name = g_strdup(origin), .text = text};
    Parser p = {.settings = settings,
            .origin = source.name,
            .source = settings->sources->len,
            .section = -1,
            .ret_error = ret_error};
    LineReader reader;
    Line line;

    g_array_append_val(settings->sources, source);
    if (!settings_text_check(text, length, origin, ret_error))
        return false;
    line_reader_init(&reader, text, length);
    while (line_reader_next(&reader, &line))
        if (!merge_line(&p, &line))
            return false;
    return true;
}

/* `condition`: "Type=cdrom". */
static bool holds(const Settings *settings, const char *section, const char *condition)
{
    g_auto(GStrv) parts = g_strsplit(condition, "=", 2);
    return g_strcmp0(settings_get_string(settings, section, parts[0]), parts[1]) == 0;
}

bool settings_check_required(const Settings *settings, const Settings *before, Error **ret_error)
{
    for (unsigned i = 0; i < settings->sections->len; i++) {
        const SettingsGroup *section = &g_array_index(settings->sections, SettingsGroup, i);

        for (const SettingKey *k = settings->schema->keys; k->section; k++) {
            g_autofree char *thing = NULL;

            if (!k->required || strcmp(k->section, section->schema->name) != 0)
                continue;
            if (settings_has(settings, section->name, k->key) || (k->unless && holds(settings, section->name, k->unless)))
                continue;
            if (before && settings_section_index(before, section->name) >= 0 &&
                    !settings_has(before, section->name, k->key))
                continue;
            thing = g_strdup_printf("%s:%u",
                    g_array_index(settings->sources, SettingsSource, section->source).name, section->line);
            return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, k->summary,
                    "[%s] lacks %s=", section->name, k->key);
        }
    }
    return true;
}

Settings *settings_parse(const Schema *schema, const char *text, size_t length, const char *origin, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_parse_partial(schema, text, length, origin, ret_error);

    return settings && settings_check_required(settings, NULL, ret_error) ? g_steal_pointer(&settings) : NULL;
}

Settings *settings_parse_partial(const Schema *schema, const char *text, size_t length, const char *origin, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_new(schema);
    char *copy;

    /* Before it is copied: a hostile length ends here. */
    if (!settings_text_check(text, length, origin, ret_error))
        return NULL;
    copy = g_malloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return settings_merge(settings, copy, length, origin, ret_error) ? g_steal_pointer(&settings) : NULL;
}
