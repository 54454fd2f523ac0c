/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema.h"

#include <glib.h>
#include <string.h>

/* What errors name, and the D-Bus signature of a reply. */
static const struct {
    const char *noun, *signature;
} types[_SETTING_TYPE_MAX] = {
        [SETTING_BOOL] = {"yes or no", "b"},
        [SETTING_UINT] = {"a whole number", "u"},
        [SETTING_SIZE] = {"a size such as 2G", "t"},
        [SETTING_DURATION] = {"a time such as 90s or \"5min 20s\"", "t"},
        [SETTING_STRING] = {"one line of text", "s"},
        [SETTING_PATH] = {"an absolute path without \"..\"", "s"},
        [SETTING_SOURCE] = {"an absolute path without \"..\", or POOL/VOLUME", "s"},
        [SETTING_ENUM] = {"one of certain words", "s"},
        [SETTING_UUID] = {"a UUID such as 3e3fce64-0ab0-4b0b-a2a4-0e2a3e8e2f10", "s"},
        [SETTING_WORDS] = {"words, quoted as in a shell", "as"},
        [SETTING_PROPERTY] = {"a property of systemd.resource-control(5)", "s"},
};

const SettingSection *schema_find_section(const Schema *schema, const char *section)
{
    for (const SettingSection *s = schema->sections; s->name; s++)
        if (strcmp(s->name, section) == 0)
            return s;
    return NULL;
}

const SettingKey *schema_find_key(const Schema *schema, const char *section, const char *key)
{
    for (const SettingKey *k = schema->keys; k->section; k++)
        if (strcmp(k->section, section) == 0 && (strcmp(k->key, key) == 0 || strcmp(k->key, "*") == 0))
            return k;
    return NULL;
}

const char *setting_type_to_string(SettingType type)
{
    g_assert((unsigned) type < _SETTING_TYPE_MAX);
    return types[type].noun;
}

const char *setting_type_to_signature(SettingType type)
{
    g_assert((unsigned) type < _SETTING_TYPE_MAX);
    return types[type].signature;
}
