/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* complete: what a shell may offer for the last of the words, one "WORD<tab>DESCRIPTION" a line. The three
 * shells' scripts only hand their words over, so that they know what vmctl knows. A line ":files" asks the
 * shell for names of files. */
#include <stdio.h>
#include <string.h>

#include "option.h"
#include "schema.h"
#include "scope-property.h"
#include "verb.h"

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

static void offer_names(Client *client, const char *current)
{
    g_autoptr(sd_bus_message) message = NULL, reply = NULL;
    const char *name, *state, *path;
    int r = client->user      ? sd_bus_open_user(&client->bus)
            : client->host    ? sd_bus_open_system_remote(&client->bus, client->host)
            : client->machine ? sd_bus_open_system_machine(&client->bus, client->machine)
                              : sd_bus_open_system(&client->bus);
    if (r >= 0)
        r = sd_bus_message_new_method_call(
                client->bus, &message, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "ListVMs");
    if (r >= 0)
        r = sd_bus_call(client->bus, message, LIST_TIMEOUT, NULL, &reply);
    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ssuo)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(ssuo)", &name, &state, NULL, &path)) > 0)
        offer(current, "", name, "", state);
}

static void offer_verbs(const char *current)
{
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && (!(verb->flags & VERB_HIDDEN) || strcmp(verb->name, "help") == 0))
            offer(current, "", verb->name, "", verb->summary);
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
    for (const SettingKey *key = vm_schema.keys; verb && verb->flags & VERB_SETTINGS && key->section; key++)
        if (key->option)
            offer(current, "--", key->option, "=", key->summary);
}

/* "disk0" for a section of kind Disk: what the first --disk= makes. */
static char *first_device(const char *kind)
{
    for (const SettingKey *key = vm_schema.keys; key->section; key++)
        if (strcmp(key->section, kind) == 0 && key->option)
            return g_strconcat(key->option, "0", NULL);
    return g_strdup("NAME");
}

/* "SECTION.KEY=" for -p of create, run and set. */
static void offer_settings(const char *current, const char *prefix)
{
    for (const SettingKey *key = vm_schema.keys; key->section; key++) {
        const SettingSection *section = schema_find_section(&vm_schema, key->section);
        g_autofree char *device = section && section->named ? first_device(key->section) : NULL;
        g_autofree char *word =
                g_strdup_printf("%s%s%s.%s", key->section, device ? " " : "", device ? device : "", key->key);
        if (strcmp(key->key, "*") != 0)
            offer(current, prefix, word, "=", key->summary);
    }
    for (const char *const *property = scope_property_names(); *property; property++)
        offer(current, prefix, *property, "=", "see systemd.resource-control(5)");
}

static void offer_setting_value(const SettingKey *key, const char *current, const char *prefix)
{
    if (key->words)
        offer_words(current, prefix, key->words);
    else if (key->type == SETTING_PATH)
        puts(":files");
    else if (key->type == SETTING_BOOL)
        offer_words(current, prefix, "yes|no");
}

static void offer_value(const Option *option, const char *current, const char *prefix)
{
    if (option->words)
        offer_words(current, prefix, option->words);
    else if (option->kind == OPTION_CDROM)
        puts(":files");
    else if (option->kind == OPTION_CHANGE)
        offer_settings(current, prefix);
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
static bool offer_value_of_previous(const Verb *verb, const char *previous, const char *current)
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
        offer_value(option, current, "");
        return true;
    }
    if (key)
        offer_setting_value(key, current, "");
    return key;
}

static void offer_long(const Verb *verb, const char *current)
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
        offer_setting_value(key, current, prefix);
    else if (option)
        offer_value(option, current, prefix);
}

/* Finds the verb, and the bus that the line asks for. */
static const Verb *scan(Client *client, char **words, size_t n)
{
    const Verb *verb = NULL;
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
        else if (word[0] != '-' && !verb)
            verb = verb_find(word);
    }
    return verb;
}

int verb_complete(Client *client)
{
    size_t n = client->n_arguments;
    if (n == 0)
        return EXIT_DONE;
    const char *current = client->arguments[n - 1];
    const char *previous = n > 1 ? client->arguments[n - 2] : "";
    const Verb *verb = scan(client, client->arguments, n - 1);

    if (offer_value_of_previous(verb, previous, current))
        return EXIT_DONE;
    if (g_str_has_prefix(current, "--"))
        offer_long(verb, current);
    else if (current[0] == '-')
        offer_options(verb, current[1] ? current : "--");
    else if (!verb)
        offer_verbs(current);
    else if (strcmp(verb->name, "help") == 0)
        offer_verbs(current);
    else if (verb->flags & VERB_NAMES)
        offer_names(client, current);
    return EXIT_DONE;
}
