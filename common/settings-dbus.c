/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-dbus.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "settings-internal.h"
#include "value.h"

/* What a message may hold at most, counted as it is read: no more than the file that it becomes. */
#define BYTES_MAX SETTINGS_FILE_MAX

typedef struct Reader {
    const Schema *schema;
    sd_bus_message *m;
    GArray *items;
    GPtrArray *owned;
    GHashTable *seen; /* "Disk root.Source" */
    size_t bytes;
    unsigned sections;
    Error **ret_error;
} Reader;

/* Keeps a string for as long as the changes live. */
static char *keep(Reader *r, char *s)
{
    g_ptr_array_add(r->owned, s);
    return s;
}

static char *where(const char *section, const char *key)
{
    return g_strdup_printf("[%.64s] %.64s=", section, key);
}

static bool fail_message(Reader *r, int err)
{
    return error_set_errno(r->ret_error, err, NULL, "the settings in the message cannot be read");
}

static bool count(Reader *r, const char *s)
{
    r->bytes += strlen(s) + 2;
    if (r->bytes > BYTES_MAX)
        return error_set(r->ret_error, ERROR_INVALID_SETTINGS, NULL, NULL,
                "the settings in the message have more than %u bytes", BYTES_MAX);
    return true;
}

static bool wrong_type(
        Reader *r, const char *section, const char *key, const SettingKey *schema, const char *got)
{
    g_autofree char *thing = where(section, key), *remedy = NULL;
    const char *typed = schema->type == SETTING_PROPERTY ? "as" : setting_type_to_signature(schema->type);

    if (strcmp(typed, "s") == 0)
        remedy = g_strdup("Allowed is a string (s).");
    else
        remedy = g_strdup_printf("Allowed are a string (s) in the file's spelling%s%s%s.",
                strcmp(typed, "as") == 0 ? " and strings (" : " and the type \"", typed,
                strcmp(typed, "as") == 0 ? ")" : "\"");
    return error_set(r->ret_error, ERROR_INVALID_SETTINGS, thing, remedy,
            "a value of D-Bus type \"%.32s\" will not do", got);
}

/* Reads any of D-Bus's integers. */
static int read_integer(sd_bus_message *m, char type, uint64_t *ret)
{
    union {
        uint8_t y;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
    } v;
    int64_t s = 0;
    int r = sd_bus_message_read_basic(m, type, &v);

    if (r < 0)
        return r;
    switch (type) {
    case SD_BUS_TYPE_BYTE:
        *ret = v.y;
        return 0;
    case SD_BUS_TYPE_UINT16:
        *ret = v.q;
        return 0;
    case SD_BUS_TYPE_UINT32:
        *ret = v.u;
        return 0;
    case SD_BUS_TYPE_UINT64:
        *ret = v.t;
        return 0;
    case SD_BUS_TYPE_INT16:
        s = v.n;
        break;
    case SD_BUS_TYPE_INT32:
        s = v.i;
        break;
    default:
        s = v.x;
        break;
    }
    if (s < 0)
        return -ERANGE;
    *ret = (uint64_t) s;
    return 0;
}

static char *format_number(SettingType type, uint64_t v)
{
    if (type == SETTING_SIZE)
        return format_size(v);
    if (type == SETTING_DURATION)
        return format_duration(v);
    if (type == SETTING_PROPERTY && v == UINT64_MAX)
        return g_strdup("infinity");
    return g_strdup_printf("%" PRIu64, v);
}

static bool read_number(
        Reader *r, const char *section, const char *key, const SettingKey *schema, char type, char **ret)
{
    uint64_t v;
    int k;

    k = read_integer(r->m, type, &v);
    if (k == -ERANGE) {
        g_autofree char *thing = where(section, key);
        return error_set(r->ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "the value is negative");
    }
    if (k < 0)
        return fail_message(r, k);
    *ret = format_number(schema->type, v);
    return true;
}

/* Strings: of SETTING_WORDS the words, of a property that repeats its lines. */
static bool read_strings(
        Reader *r, const char *section, const char *key, const SettingKey *schema, GPtrArray *values)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    const char *s;
    int k;

    k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_ARRAY, "s");
    if (k < 0)
        return fail_message(r, k);
    while ((k = sd_bus_message_read_basic(r->m, SD_BUS_TYPE_STRING, &s)) > 0) {
        if (!count(r, s))
            return false;
        if (strpbrk(s, "\n\r")) {
            g_autofree char *thing = where(section, key);
            return error_set(
                    r->ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "a word has more than one line");
        }
        g_ptr_array_add(words, (void *) s);
    }
    if (k < 0 || (k = sd_bus_message_exit_container(r->m)) < 0)
        return fail_message(r, k);

    if (schema->type == SETTING_WORDS && words->len > 0) {
        g_ptr_array_add(words, NULL);
        g_ptr_array_add(values, keep(r, format_words((const char *const *) words->pdata)));
    } else if (schema->type == SETTING_PROPERTY)
        for (unsigned i = 0; i < words->len; i++)
            g_ptr_array_add(values, keep(r, g_strdup(words->pdata[i])));
    return true;
}

static bool read_variant(Reader *r, const char *section, const char *key, const SettingKey *schema,
        const char *contents, GPtrArray *values)
{
    char *text = NULL;
    const char *s;
    int b, k;

    if (strcmp(contents, "as") == 0 && (schema->type == SETTING_WORDS || schema->type == SETTING_PROPERTY))
        return read_strings(r, section, key, schema, values);

    if (strcmp(contents, "s") == 0) {
        k = sd_bus_message_read_basic(r->m, SD_BUS_TYPE_STRING, &s);
        if (k < 0)
            return fail_message(r, k);
        text = g_strdup(s);
        /* As the file would read it. */
        g_strstrip(text);
    } else if (strcmp(contents, "b") == 0 &&
               (schema->type == SETTING_BOOL || schema->type == SETTING_PROPERTY)) {
        k = sd_bus_message_read_basic(r->m, SD_BUS_TYPE_BOOLEAN, &b);
        if (k < 0)
            return fail_message(r, k);
        text = g_strdup(b ? "yes" : "no");
    } else if (strlen(contents) == 1 && strchr("ynqiuxt", contents[0]) &&
               (schema->type == SETTING_UINT || schema->type == SETTING_SIZE ||
                       schema->type == SETTING_DURATION || schema->type == SETTING_PROPERTY)) {
        if (!read_number(r, section, key, schema, contents[0], &text))
            return false;
    } else
        return wrong_type(r, section, key, schema, contents);

    keep(r, text);
    if (text[0] != '\0')
        g_ptr_array_add(values, text);
    return count(r, text);
}

static bool read_value(Reader *r, const char *section, const SettingSection *kind, const char *key)
{
    const SettingKey *schema;
    const char *contents;
    GPtrArray *values;
    SettingsChange change;
    char type, *id;
    int k;

    schema = settings_key_check(r->schema, kind->name, key, NULL, r->ret_error);
    if (!schema || !count(r, key))
        return false;
    id = where(section, key);
    if (!g_hash_table_add(r->seen, id))
        return error_set(
                r->ret_error, ERROR_INVALID_SETTINGS, id, NULL, "the key is there twice in the message");

    k = sd_bus_message_peek_type(r->m, &type, &contents);
    if (k <= 0 || type != SD_BUS_TYPE_VARIANT)
        return fail_message(r, k < 0 ? k : EBADMSG);
    k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_VARIANT, contents);
    if (k < 0)
        return fail_message(r, k);

    values = g_ptr_array_new();
    if (!read_variant(r, section, key, schema, contents, values)) {
        g_ptr_array_unref(values);
        return false;
    }
    change = (SettingsChange){.section = section, .key = keep(r, g_strdup(key))};
    if (values->len == 0)
        g_ptr_array_unref(values);
    else {
        g_ptr_array_add(values, NULL);
        change.values = (const char *const *) keep(r, (char *) g_ptr_array_free(values, FALSE));
    }
    g_array_append_val(r->items, change);

    k = sd_bus_message_exit_container(r->m);
    return k < 0 ? fail_message(r, k) : true;
}

/* The a{sv} of one section; *ret_empty says whether it has no keys. */
static bool read_section(Reader *r, const char *section, bool *ret_empty)
{
    const SettingSection *kind;
    const char *device, *key;
    int k;

    kind = settings_section_check(r->schema, section, NULL, &device, r->ret_error);
    if (!kind || !count(r, section))
        return false;

    k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_ARRAY, "{sv}");
    if (k < 0)
        return fail_message(r, k);
    *ret_empty = true;
    while ((k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
        *ret_empty = false;
        k = sd_bus_message_read_basic(r->m, SD_BUS_TYPE_STRING, &key);
        if (k < 0)
            break;
        if (!read_value(r, section, kind, key))
            return false;
        k = sd_bus_message_exit_container(r->m);
        if (k < 0)
            break;
    }
    if (k >= 0)
        k = sd_bus_message_exit_container(r->m);
    return k < 0 ? fail_message(r, k) : true;
}

static bool read_all_sections(Reader *r)
{
    const char *name;
    bool empty;
    int k;

    k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_ARRAY, "{sa{sv}}");
    if (k < 0)
        return fail_message(r, k);
    while ((k = sd_bus_message_enter_container(r->m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}")) > 0) {
        char *section;

        if (++r->sections > SETTINGS_SECTIONS_MAX)
            return error_set(r->ret_error, ERROR_INVALID_SETTINGS, NULL, NULL,
                    "there are more than %u sections in the message", SETTINGS_SECTIONS_MAX);
        k = sd_bus_message_read_basic(r->m, SD_BUS_TYPE_STRING, &name);
        if (k < 0)
            break;
        section = keep(r, g_strdup(name));
        if (!read_section(r, section, &empty))
            return false;
        if (empty) {
            SettingsChange change = {.section = section};
            g_array_append_val(r->items, change);
        }
        k = sd_bus_message_exit_container(r->m);
        if (k < 0)
            break;
    }
    if (k >= 0)
        k = sd_bus_message_exit_container(r->m);
    return k < 0 ? fail_message(r, k) : true;
}

static SettingsChanges *finish(Reader *r, bool ok)
{
    SettingsChanges *changes = NULL;

    g_hash_table_unref(r->seen);
    if (ok) {
        changes = g_new(SettingsChanges, 1);
        changes->n = r->items->len;
        changes->owned = r->owned;
        changes->items = (SettingsChange *) g_array_free(r->items, FALSE);
        return changes;
    }
    g_array_unref(r->items);
    g_ptr_array_unref(r->owned);
    return NULL;
}

static Reader reader_begin(const Schema *schema, sd_bus_message *m, Error **ret_error)
{
    return (Reader){.schema = schema,
            .m = m,
            .items = g_array_new(FALSE, FALSE, sizeof(SettingsChange)),
            .owned = g_ptr_array_new_with_free_func(g_free),
            .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
            .ret_error = ret_error};
}

SettingsChanges *settings_changes_read(const Schema *schema, sd_bus_message *m, Error **ret_error)
{
    Reader r = reader_begin(schema, m, ret_error);

    return finish(&r, read_all_sections(&r));
}

SettingsChanges *settings_changes_read_section(
        const Schema *schema, sd_bus_message *m, const char *section, Error **ret_error)
{
    Reader r = reader_begin(schema, m, ret_error);
    bool empty;

    return finish(&r, read_section(&r, keep(&r, g_strdup(section)), &empty));
}

void settings_changes_free(SettingsChanges *changes)
{
    if (!changes)
        return;

    g_free(changes->items);
    g_ptr_array_unref(changes->owned);
    g_free(changes);
}

static int append_strv(sd_bus_message *m, const char *const *values)
{
    int r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, "as");

    if (r < 0)
        return r;
    r = sd_bus_message_append_strv(m, (char **) values);
    if (r < 0)
        return r;
    return sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, const SettingsEntry *entry)
{
    switch (entry->schema->type) {
    case SETTING_BOOL:
        return sd_bus_message_append(m, "v", "b", (int) entry->number);
    case SETTING_UINT:
        if (entry->maximum > 0)
            return sd_bus_message_append(m, "v", "s", entry->text);
        return sd_bus_message_append(m, "v", "u", (uint32_t) entry->number);
    case SETTING_SIZE:
    case SETTING_DURATION:
        if (entry->maximum > 0)
            return sd_bus_message_append(m, "v", "s", entry->text);
        return sd_bus_message_append(m, "v", "t", entry->number);
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_SOURCE:
    case SETTING_ENUM:
    case SETTING_UUID:
        return sd_bus_message_append(m, "v", "s", entry->text);
    case SETTING_PROPERTY:
        if (!settings_key_repeats(entry->schema, entry->key))
            return sd_bus_message_append(m, "v", "s", entry->text);
        return append_strv(m, (const char *const *) entry->list->pdata);
    case SETTING_WORDS:
        return append_strv(m, (const char *const *) entry->list->pdata);
    case _SETTING_TYPE_MAX:
        break;
    }
    g_assert_not_reached();
}

static int append_section(sd_bus_message *m, const Settings *settings, unsigned index)
{
    const SettingsGroup *group = &g_array_index(settings->sections, SettingsGroup, index);
    int r;

    r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sa{sv}");
    if (r < 0)
        return r;
    r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, group->name);
    if (r < 0)
        return r;
    r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
    if (r < 0)
        return r;
    for (unsigned i = 0; i < settings->entries->len; i++) {
        const SettingsEntry *entry = &g_array_index(settings->entries, SettingsEntry, i);

        if (entry->section != index || !entry->set)
            continue;
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv");
        if (r < 0)
            return r;
        r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, entry->key);
        if (r < 0)
            return r;
        r = append_value(m, entry);
        if (r < 0)
            return r;
        r = sd_bus_message_close_container(m);
        if (r < 0)
            return r;
    }
    r = sd_bus_message_close_container(m);
    if (r < 0)
        return r;
    return sd_bus_message_close_container(m);
}

int settings_append(sd_bus_message *m, const Settings *settings)
{
    int r;

    r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, "{sa{sv}}");
    if (r < 0)
        return r;
    for (unsigned i = 0; i < settings->sections->len; i++) {
        r = append_section(m, settings, i);
        if (r < 0)
            return r;
    }
    return sd_bus_message_close_container(m);
}
