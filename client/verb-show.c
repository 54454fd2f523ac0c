/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* show, cat, explain: what vmd knows of a VM, a network, a pool, a volume or a snapshot, in full. */
#include <string.h>
#include <time.h>

#include "connect.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "schema.h"
#include "sections.h"
#include "terminal.h"
#include "timestamp.h"
#include "value.h"
#include "verb.h"
#include "volume.h"

/* A value as it stands behind "=". The caller frees. */
static char *value_to_text(const char *name, const json_t *value)
{
    if (json_is_string(value))
        return terminal_clean(json_string_value(value));
    if (json_is_boolean(value))
        return g_strdup(json_is_true(value) ? "yes" : "no");
    if (json_is_integer(value) && (g_str_has_suffix(name, "Timestamp") || strcmp(name, "Modified") == 0 || strcmp(name, "Created") == 0))
        return json_integer_value(value) > 0 ? timestamp_format((uint64_t) json_integer_value(value))
                                             : g_strdup("");
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_null(value))
        return g_strdup("infinity");
    if (json_is_array(value)) {
        g_autoptr(GString) text = g_string_new(NULL);
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item)
        {
            g_autofree char *word = value_to_text(name, item);
            g_string_append_printf(text, "%s%s", i > 0 ? " " : "", word);
        }
        return g_string_free(g_steal_pointer(&text), false);
    }
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = g_strdup(dump);
    free(dump);
    return text;
}

static bool is_wanted(const Client *client, const char *name)
{
    for (guint i = 0; client->properties && i < client->properties->len; i++)
        if (strcmp(client->properties->pdata[i], name) == 0)
            return true;
    return !client->properties;
}

static void print_properties(const Client *client, json_t *properties)
{
    const char *name;
    json_t *value;
    g_autoptr(json_t) chosen = json_object();

    json_object_foreach(properties, name, value) if (is_wanted(client, name))(void)
            json_object_set(chosen, name, value);
    if (client_json(client)) {
        json_print(client, chosen);
        return;
    }
    json_object_foreach(chosen, name, value)
    {
        g_autofree char *text = value_to_text(name, value);
        if (!*text && !client->all && !client->properties)
            continue;
        if (client->value)
            printf("%s\n", text);
        else
            printf("%s=%s\n", name, text);
    }
}

/* A setting in the file's own spelling. The caller frees. */
static char *setting_to_text(const SettingKey *key, const json_t *value)
{
    uint64_t number = json_is_null(value) ? USEC_INFINITY : (uint64_t) json_integer_value(value);
    if (key && key->type == SETTING_SIZE)
        return format_size(number);
    if (key && key->type == SETTING_DURATION)
        return format_duration(number);
    if (json_is_array(value) && key && key->type == SETTING_WORDS) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        size_t i;
        json_t *word;
        json_array_foreach(value, i, word) g_ptr_array_add(words, (char *) json_string_value(word));
        g_ptr_array_add(words, NULL);
        return format_words((const char *const *) words->pdata);
    }
    return value_to_text("", value);
}

static void print_settings(const Client *client, const json_t *settings)
{
    const char *section, *name;
    json_t *values, *value, *line;
    size_t i, n = 0;

    if (client_json(client)) {
        json_print(client, settings);
        return;
    }
    json_object_foreach((json_t *) settings, section, values)
    {
        g_autofree char *kind = g_strndup(section, strcspn(section, " "));
        printf("%s%s[%s]%s\n", n++ > 0 ? "\n" : "", terminal_style(stdout, STYLE_BOLD), section,
                terminal_normal(stdout, STYLE_BOLD));
        json_object_foreach(values, name, value)
        {
            const SettingKey *key = schema_find_key(client_kind(client)->schema, kind, name);
            if (json_is_array(value) && key && key->type == SETTING_PROPERTY) {
                json_array_foreach(value, i, line) printf("%s=%s\n", name, json_string_value(line));
                continue;
            }
            g_autofree char *text = setting_to_text(key, value);
            printf("%s=%s\n", name, text);
        }
    }
}

static int show_one(Client *client, const char *name)
{
    g_autoptr(json_t) object = NULL;
    int r = client->settings ? sections_get_settings(client, name, &object) : json_get_properties(client, name, &object);
    if (r != EXIT_DONE)
        return r;
    if (client->settings)
        print_settings(client, object);
    else
        print_properties(client, object);
    return EXIT_DONE;
}

/* Every name is tried; the first failure is what vmctl exits with. */
static int for_each(Client *client, int (*show)(Client *client, const char *name))
{
    int first = EXIT_DONE;
    for (size_t i = 0; i < client->n_arguments; i++) {
        if (i > 0 && !client_json(client))
            putchar('\n');
        int r = show(client, client->arguments[i]);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}

int verb_show(Client *client)
{
    if (client->settings && client->n_arguments == 0)
        return report_usage("--settings: it needs the name of a VM");
    pager_open(client->no_pager, true);
    return client->n_arguments == 0 ? show_one(client, NULL) : for_each(client, show_one);
}

/* As properties are called, "Size" for "size". */
static void print_members(const Client *client, json_t *properties, json_t *members)
{
    const char *key;
    json_t *value;
    json_object_foreach(members, key, value)
    {
        g_autofree char *title = g_strdup_printf("%c%s", g_ascii_toupper(key[0]), key + 1);
        (void) json_object_set(properties, title, value);
    }
    print_properties(client, properties);
}

int verb_snapshot_show(Client *client)
{
    g_autoptr(json_t) snapshot = NULL, properties = json_object();
    int r = json_call_object(client, client->arguments[0], VM_INTERFACE, "GetSnapshot", client->arguments[1], &snapshot);
    if (r == EXIT_DONE)
        print_members(client, properties, snapshot);
    return r;
}

static int show_volume(Client *client, const char *word)
{
    g_autoptr(json_t) volume = NULL, properties = json_object();
    g_autofree char *pool = NULL, *name = NULL;
    int r = volume_split(word, volume_pool(client), &pool, &name);
    if (r == EXIT_DONE)
        r = volume_get(client, pool, name, &volume);
    if (r != EXIT_DONE)
        return r;
    (void) json_object_set_new(properties, "Pool", json_string(pool));
    print_members(client, properties, volume);
    return EXIT_DONE;
}

int verb_volume_show(Client *client)
{
    pager_open(client->no_pager, true);
    return for_each(client, show_volume);
}

static int cat_one(Client *client, const char *name)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(json_t) array = client_json(client) ? json_array() : NULL;
    const char *path, *text;
    size_t n = 0;

    int r = client_call(client, name, client_kind(client)->interface, "GetFiles", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(ss)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ss)", &path, &text)) > 0) {
        if (array) {
            json_array_append_new(array, json_pack("{ss ss}", "path", path, "text", text));
            continue;
        }
        g_autofree char *clean = terminal_clean(text);
        printf("%s%s# %s%s\n%s%s", n++ > 0 ? "\n" : "", terminal_style(stdout, STYLE_DIM), path,
                terminal_normal(stdout, STYLE_DIM), clean,
                *clean && !g_str_has_suffix(clean, "\n") ? "\n" : "");
    }
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    if (array)
        json_print(client, array);
    return EXIT_DONE;
}

int verb_cat(Client *client)
{
    pager_open(client->no_pager, true);
    return for_each(client, cat_one);
}

/* Quoted where a shell would do something to it, and only there. */
static void append_quoted(GString *line, const char *word)
{
    if (*word &&
            word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%_-+=:,./")] ==
                    0) {
        g_string_append(line, word);
        return;
    }
    g_autofree char *quoted = g_shell_quote(word);
    g_string_append(line, quoted);
}

/* A comment in the midst of a command that goes on over many lines is an empty command substitution, which
 * leaves no word behind. What would end it is left out. */
static void print_comment(const char *text, bool within)
{
    g_autofree char *clean = terminal_clean(text);
    g_strdelimit(clean, "`\\\n\t", ' ');
    printf("%s%s%s# %s%s%s%s\n", within ? "    " : "", terminal_style(stdout, STYLE_DIM), within ? "`" : "",
            clean, within ? "`" : "", terminal_normal(stdout, STYLE_DIM), within ? " \\" : "");
}

int verb_explain(Client *client)
{
    g_autoptr(sd_bus_message) reply = NULL;
    const char *last = NULL;
    size_t n = 0, i, k;
    json_t *group, *word;

    int r = client_call(client, client->arguments[0], VM_INTERFACE, "Explain", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) groups = json_from_message(reply, &r);
    if (!groups)
        return report_errno(r, "vmd: cannot read its answer");
    if (client_json(client)) {
        g_autoptr(json_t) array = json_array();
        json_array_foreach(groups, i, group)
                json_array_append_new(array, json_pack("{sO sO}", "arguments", json_array_get(group, 0),
                                                     "from", json_array_get(group, 1)));
        json_print(client, array);
        return EXIT_DONE;
    }

    pager_open(client->no_pager, true);
    n = json_array_size(groups);
    json_array_foreach(groups, i, group)
    {
        const char *from = json_string_value(json_array_get(group, 1));
        const char *indent = i > 0 ? "    " : "";
        g_autoptr(GString) line = g_string_new(indent);
        if (from && *from && !client->quiet && (!last || strcmp(from, last) != 0))
            print_comment(from, i > 0);
        last = from;
        json_array_foreach(json_array_get(group, 0), k, word)
        {
            if (k > 0)
                g_string_append_c(line, ' ');
            append_quoted(line, json_string_value(word));
        }
        printf("%s%s\n", line->str, i + 1 < n ? " \\" : "");
    }
    return EXIT_DONE;
}
