/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* complete: what a shell may offer for the last of the words, one "WORD<tab>DESCRIPTION" a line. The three
 * shells' scripts only hand their words over, so that they know what vmctl knows. A last line ":files" asks the
 * shell for names of files, too, ":commands" for those of commands. */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "option.h"
#include "schema.h"
#include "scope-property.h"
#include "value.h"
#include "verb.h"
#include "volume.h"

/* A shell waits for us: better no names than a pause. */
#define LIST_TIMEOUT (2 * G_USEC_PER_SEC)

static void offer(const char *current, const char *prefix, const char *word, const char *suffix,
        const char *description)
{
    g_autofree char *whole = g_strconcat(prefix, word, suffix, NULL);
    if (g_str_has_prefix(whole, current))
        printf("%s\t%s\n", whole, description ? description : "");
}

static void offer_words(const char *current, const char *prefix, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    for (char **word = list; *word; word++)
        offer(current, prefix, *word, "", NULL);
}

static int open_bus(Client *client)
{
    return client->bus       ? 0
           : client->user    ? sd_bus_open_user(&client->bus)
           : client->host    ? sd_bus_open_system_remote(&client->bus, client->host)
           : client->machine ? sd_bus_open_system_machine(&client->bus, client->machine)
                             : sd_bus_open_system(&client->bus);
}

/* The rows that a method answers with, or NULL. */
static json_t *get_rows(Client *client, const char *path, const char *interface, const char *method)
{
    g_autoptr(sd_bus_message) message = NULL, reply = NULL;
    int r = open_bus(client);
    if (r >= 0)
        r = sd_bus_message_new_method_call(client->bus, &message, BUS_NAME, path, interface, method);
    if (r >= 0)
        r = sd_bus_call(client->bus, message, LIST_TIMEOUT, NULL, &reply);
    return r >= 0 ? json_from_message(reply, &r) : NULL;
}

/* What there is of a kind, with how it does. */
static void offer_names(Client *client, const ObjectKind *kind, const char *current, const char *prefix)
{
    g_autoptr(json_t) rows = get_rows(client, MANAGER_PATH, MANAGER_INTERFACE, kind->list);
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) offer(current, prefix, json_string_value(json_array_get(row, 0)), "",
            json_string_value(json_array_get(row, 1)));
}

static void offer_jobs(Client *client, const char *current)
{
    g_autoptr(json_t) rows = get_rows(client, MANAGER_PATH, MANAGER_INTERFACE, "ListJobs");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        g_autofree char *id = g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json_array_get(row, 0)));
        offer(current, "", id, "", json_string_value(json_array_get(row, 1)));
    }
}

static void offer_volumes_of(Client *client, const char *pool, const char *current, const char *prefix, bool bare)
{
    g_autofree char *path = kind_object(&kind_pool, pool);
    g_autoptr(json_t) rows = get_rows(client, path, POOL_INTERFACE, "ListVolumes");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *volume = json_string_value(json_array_get(row, 0)), *format = json_string_value(json_array_get(row, 1));
        g_autofree char *name = g_strjoin("/", pool, volume, NULL);
        g_autofree char *size = format_size_human((uint64_t) json_integer_value(json_array_get(row, 2)));
        g_autofree char *description = g_strjoin(", ", format, size, NULL);
        offer(current, prefix, name, "", description);
        if (bare)
            offer(current, prefix, volume, "", description);
    }
}

/* POOL/VOLUME of all that run; where something is typed already, and that `may_be_bare`, VOLUME of "default", too. */
static void offer_volumes(Client *client, const char *current, const char *prefix, bool may_be_bare)
{
    g_autoptr(json_t) pools = get_rows(client, MANAGER_PATH, MANAGER_INTERFACE, "ListPools");
    bool typed = strlen(current) > strlen(prefix);
    size_t i;
    json_t *row;
    json_array_foreach(pools, i, row)
    {
        const char *pool = json_string_value(json_array_get(row, 0));
        if (g_strcmp0(json_string_value(json_array_get(row, 1)), "running") == 0)
            offer_volumes_of(client, pool, current, prefix, may_be_bare && typed && strcmp(pool, VOLUME_DEFAULT_POOL) == 0);
    }
}

/* The verbs of a group, without its name; or (NULL) those of one word and the groups. */
static void offer_verbs(const char *current, const char *group)
{
    const char *heading = "", *last = NULL;
    for (const Verb *verb = verbs; verb->name; verb++) {
        g_autofree char *its = verb_group_of(verb);
        if (!verb->handler)
            heading = verb->name;
        else if (verb->flags & VERB_HIDDEN && (group || strcmp(verb->name, "help") != 0))
            continue;
        else if (g_strcmp0(its, group) == 0)
            offer(current, "", its ? strchr(verb->name, ' ') + 1 : verb->name, "", verb->summary);
        else if (its && !group && g_strcmp0(its, last) != 0)
            offer(current, "", last = verb_group(its), "", heading);
    }
}

static bool takes_value(const Option *option)
{
    return option->kind != OPTION_FLAG && option->kind != OPTION_OPTIONAL;
}

static void offer_options(const Verb *verb, const char *current)
{
    for (const Option *option = options; option->name; option++)
        if (option->summary && (verb ? option_is_for(option, verb) : !option->verbs))
            offer(current, "--", option->name, takes_value(option) ? "=" : "", option->summary);
    for (const SettingKey *key = verb_setting_keys(verb); key && key->section; key++)
        if (key->option)
            offer(current, "--", key->option, "=", key->summary);
}

/* "disk0" for a section of kind Disk: what the first --disk= makes. */
static char *first_device(const SettingKey *keys, const char *section)
{
    for (const SettingKey *key = keys; key->section; key++)
        if (strcmp(key->section, section) == 0 && key->option)
            return g_strconcat(kind_device_prefix(key), "0", NULL);
    return g_strdup("NAME");
}

/* "SECTION.KEY=" for -p of create, run and set. */
static void offer_settings(const ObjectKind *kind, const char *current, const char *prefix)
{
    bool has_properties = false;
    for (const SettingKey *key = kind->schema->keys; key->section; key++) {
        const SettingSection *section = schema_find_section(kind->schema, key->section);
        g_autofree char *device =
                section && section->named ? first_device(kind->schema->keys, key->section) : NULL;
        g_autofree char *word =
                g_strdup_printf("%s%s%s.%s", key->section, device ? " " : "", device ? device : "", key->key);
        if (strcmp(key->key, "*") != 0)
            offer(current, prefix, word, "=", key->summary);
        has_properties |= key->type == SETTING_PROPERTY;
    }
    for (const char *const *property = scope_property_names(); has_properties && *property; property++)
        offer(current, prefix, *property, "=", "see systemd.resource-control(5)");
}

static void offer_setting_value(
        Client *client, const SettingKey *key, const char *current, const char *prefix)
{
    if (strcmp(key->section, "Network") == 0 && strcmp(key->key, "Network") == 0)
        offer_names(client, &kind_network, current, prefix);
    else if (key->words)
        offer_words(current, prefix, key->words);
    else if (key->type == SETTING_SOURCE) {
        offer_volumes(client, current, prefix, false);
        puts(":files");
    } else if (key->type == SETTING_PATH)
        puts(":files");
    else if (key->type == SETTING_BOOL)
        offer_words(current, prefix, "yes|no");
}

static void offer_value(Client *client, const Verb *verb, const Option *option, const char *current, const char *prefix)
{
    if (option->words)
        offer_words(current, prefix, option->words);
    else if (option->kind == OPTION_CDROM || option->kind == OPTION_FILE)
        puts(":files");
    else if (option->kind == OPTION_VOLUME)
        offer_volumes(client, current, prefix, true);
    else if (option->kind == OPTION_CHANGE)
        offer_settings(verb_kind(verb), current, prefix);
}

static const Option *find_option(const Verb *verb, const char *name, char letter)
{
    for (const Option *option = options; option->name; option++)
        if (option_is_for(option, verb) &&
                ((name && strcmp(option->name, name) == 0) || (letter && option->letter == letter)))
            return option;
    return NULL;
}

/* Whether the word before the current one is an option that still waits for its value; offers those. */
static bool offer_value_of_previous(
        Client *client, const Verb *verb, const char *previous, const char *current)
{
    if (previous[0] != '-' || strchr(previous, '='))
        return false;
    bool is_long = previous[1] == '-';
    const Option *option =
            find_option(verb, is_long ? previous + 2 : NULL, is_long ? 0 : previous[strlen(previous) - 1]);
    const SettingKey *key = is_long ? option_find_setting(verb, previous + 2, strlen(previous + 2)) : NULL;
    if (option) {
        if (!takes_value(option))
            return false;
        offer_value(client, verb, option, current, "");
        return true;
    }
    if (key)
        offer_setting_value(client, key, current, "");
    return key;
}

static void offer_long(Client *client, const Verb *verb, const char *current)
{
    const char *equals = strchr(current, '=');
    if (!equals) {
        offer_options(verb, current);
        return;
    }
    g_autofree char *name = g_strndup(current + 2, (size_t) (equals - current - 2));
    g_autofree char *prefix = g_strndup(current, (size_t) (equals - current + 1));
    const Option *option = find_option(verb, name, 0);
    const SettingKey *key = option_find_setting(verb, name, strlen(name));
    if (key)
        offer_setting_value(client, key, current, prefix);
    else if (option)
        offer_value(client, verb, option, current, prefix);
}

/* Finds the verb, or the group whose verb comes next, and the bus that the line asks for. */
static const Verb *scan(Client *client, char **words, size_t n, const char **ret_group)
{
    const Verb *verb = NULL;
    const char *group = NULL, *alone;
    unsigned taken;
    for (size_t i = 0; i < n; i++) {
        const char *word = words[i];
        if (strcmp(word, "--user") == 0)
            client->user = true;
        else if ((strcmp(word, "-H") == 0 || strcmp(word, "--host") == 0) && i + 1 < n)
            client->host = words[++i];
        else if ((strcmp(word, "-M") == 0 || strcmp(word, "--machine") == 0) && i + 1 < n)
            client->machine = words[++i];
        else if (g_str_has_prefix(word, "--host="))
            client->host = strchr(word, '=') + 1;
        else if (g_str_has_prefix(word, "--machine="))
            client->machine = strchr(word, '=') + 1;
        else if (word[0] != '-' && group && (!verb || strcmp(verb->name, "help") == 0)) {
            if (!verb)
                verb = verb_find_words(group, word, &alone, &taken);
            group = NULL;
        } else if (word[0] != '-' && (!verb || strcmp(verb->name, "help") == 0)) {
            group = verb_group(word);
            if (!verb && !group)
                verb = verb_find(word);
        }
    }
    *ret_group = group;
    return verb;
}

/* The VM of "snapshot VERB VM NAME...", where it stands there already. */
static const char *find_snapshot_vm(char **words, size_t n)
{
    unsigned seen = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], "-H") == 0 || strcmp(words[i], "-M") == 0 || strcmp(words[i], "--host") == 0 || strcmp(words[i], "--machine") == 0)
            i++;
        else if (words[i][0] != '-' && ++seen == 3)
            return words[i];
    }
    return NULL;
}

static void offer_snapshots(Client *client, const char *vm, const char *current)
{
    g_autofree char *path = kind_object(&kind_vm, vm);
    g_autoptr(json_t) rows = get_rows(client, path, VM_INTERFACE, "ListSnapshots");
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
        offer(current, "", json_string_value(json_array_get(row, 0)), "", json_string_value(json_array_get(row, 6)));
}

int verb_complete(Client *client)
{
    size_t n = client->n_arguments;
    if (n == 0)
        return EXIT_DONE;
    const char *current = client->arguments[n - 1];
    const char *previous = n > 1 ? client->arguments[n - 2] : "";
    const char *group;
    for (size_t i = 0; i + 1 < n; i++)
        if (strcmp(client->arguments[i], "--") == 0) { /* another command's */
            puts(i + 2 == n ? ":commands" : ":files");
            return EXIT_DONE;
        }
    const Verb *verb = scan(client, client->arguments, n - 1, &group);

    if (offer_value_of_previous(client, verb, previous, current))
        return EXIT_DONE;
    if (g_str_has_prefix(current, "--"))
        offer_long(client, verb, current);
    else if (current[0] == '-')
        offer_options(verb, current[1] ? current : "--");
    else if (!verb || strcmp(verb->name, "help") == 0)
        offer_verbs(current, group);
    else if (strcmp(verb->name, "tap") == 0 && previous[0] != '-' && strcmp(previous, verb->name) != 0)
        offer(current, "", "--", "", "the command comes next");
    else if ((strcmp(verb->name, "backup") == 0 || strcmp(verb->name, "restore") == 0) && previous[0] != '-' && strcmp(previous, verb->name) != 0)
        puts(":files"); /* the folder */
    else if (strcmp(verb->name, "insert") == 0 && previous[0] != '-' && strcmp(previous, verb->name) != 0) {
        offer_volumes(client, current, "", false);
        puts(":files");
    } else if (strcmp(verb->name, "cancel") == 0)
        offer_jobs(client, current);
    else if (g_str_has_prefix(verb->name, "snapshot ") && find_snapshot_vm(client->arguments, n - 1)) {
        if (strcmp(verb->name, "snapshot create") != 0)
            offer_snapshots(client, find_snapshot_vm(client->arguments, n - 1), current);
    } else if (verb->flags & VERB_VOLUMES)
        offer_volumes(client, current, "", true);
    else if (verb->flags & VERB_NAMES)
        offer_names(client, verb_kind(verb), current, "");
    if (verb && verb->flags & VERB_FILES && current[0] != '-')
        puts(":files");
    return EXIT_DONE;
}
