/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Settings from anybody: the text of a file, then, each after a line of "%%", changes to it as
 * "SECTION\nKEY\nVALUE". What is accepted must mean the same however it travels: as canonical text, over
 * D-Bus, through an edit, and as GKeyFile reads it. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../unit/settings-message.h"
#include "settings-dbus.h"
#include "settings-text.h"
#include "settings.h"

#define SEPARATOR "\n%%\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Settings *parse(const char *text)
{
    return settings_parse(&vm_schema, text, strlen(text), "x.vm", NULL);
}

static void check_canonical(const char *canonical)
{
    g_autoptr(Settings) again = parse(canonical);
    g_autofree char *same = NULL;

    g_assert_nonnull(again);
    same = settings_canonical(again, false);
    g_assert_cmpstr(canonical, ==, same);
}

static void check_dbus(const Settings *settings, const char *canonical)
{
    g_autoptr(sd_bus_message) m = message_new();
    g_autoptr(SettingsChanges) changes = NULL;
    g_autoptr(Settings) back = NULL;
    g_autofree char *text = NULL, *same = NULL;

    g_assert_cmpint(settings_append(m, settings), >=, 0);
    message_seal(m);
    changes = settings_changes_read(&vm_schema, m, NULL);
    g_assert_nonnull(changes);
    text = settings_edit(&vm_schema, "", changes->items, changes->n, "x.vm", NULL);
    g_assert_nonnull(text);
    back = parse(text);
    g_assert_nonnull(back);
    same = settings_canonical(back, false);
    g_assert_cmpstr(canonical, ==, same);
}

/* Of a key that is there twice, GKeyFile knows the last. */
static void check_gkeyfile(const char *text)
{
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *section = NULL;
    LineReader reader;
    GHashTableIter i;
    void *key, *value;
    Line line;

    if (g_str_has_prefix(text, "\xef\xbb\xbf"))
        return;
    g_assert_true(
            g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, NULL) || text[0] == '\0');
    line_reader_init(&reader, text, strlen(text));
    while (line_reader_next(&reader, &line)) {
        g_autofree char *name = line.name ? g_strndup(line.name, line.name_length) : NULL;

        if (line.kind == LINE_SECTION) {
            g_free(section);
            section = g_steal_pointer(&name);
        } else if (line.kind == LINE_KEY)
            g_hash_table_replace(
                    values, g_strconcat(section, "]", name, NULL), g_strndup(line.value, line.value_length));
    }
    g_hash_table_iter_init(&i, values);
    while (g_hash_table_iter_next(&i, &key, &value)) {
        char *name = strchr(key, ']');
        g_autofree char *group = g_strndup(key, (size_t) (name - (char *) key)),
                        *theirs = g_key_file_get_value(file, group, name + 1, NULL);

        g_assert_nonnull(theirs);
        g_assert_cmpstr(value, ==, g_strchomp(theirs));
    }
}

static void check_edit(const char *text, char *change_text)
{
    g_auto(GStrv) parts = g_strsplit(change_text, "\n", 3);
    const char *values[] = {NULL, NULL};
    SettingsChange change = {0};
    g_autoptr(Settings) settings = NULL;
    g_autoptr(Error) error = NULL;
    g_autofree char *result = NULL, *again = NULL;
    unsigned n = g_strv_length(parts);

    if (n == 0)
        return;
    change.section = parts[0];
    change.key = n > 1 ? parts[1] : NULL;
    values[0] = n > 2 ? parts[2] : NULL;
    change.values = values;
    result = settings_edit(&vm_schema, text, &change, 1, "x.vm", &error);
    g_assert_true((result == NULL) == (error != NULL));
    if (!result) {
        g_free(error_message(error));
        return;
    }
    /* Done twice it is the same. */
    again = settings_edit(&vm_schema, result, &change, 1, "x.vm", NULL);
    g_assert_cmpstr(result, ==, again);
    settings = parse(result);
    if (!settings)
        return;
    if (values[0])
        g_assert_true(values[0][strspn(values[0], " \t")] == '\0' ||
                      settings_has(settings, change.section, change.key));
    else if (change.key)
        g_assert_false(settings_has(settings, change.section, change.key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *whole = g_malloc(size + 1);
    g_auto(GStrv) parts = NULL;
    g_autoptr(Settings) settings = NULL;
    g_autoptr(Error) error = NULL;

    memcpy(whole, data, size);
    whole[size] = '\0';
    settings = settings_parse(&vm_schema, whole, size, "x.vm", &error);
    g_assert_true((settings == NULL) == (error != NULL));
    if (settings) {
        g_autofree char *canonical = settings_canonical(settings, false);

        check_canonical(canonical);
        check_dbus(settings, canonical);
        check_gkeyfile(whole);
    } else
        g_free(error_message(error));

    if (strlen(whole) != size)
        return 0;
    parts = g_strsplit(whole, SEPARATOR, 4);
    for (unsigned i = 1; parts[0] && parts[i]; i++)
        check_edit(parts[0], parts[i]);
    return 0;
}
