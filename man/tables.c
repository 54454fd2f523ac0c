/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* tables: prints the tables that the manuals are made from, as JSON: the schemas, the resource-control
 * properties, vmctl's verbs and options, the errors on the bus. Runs at build time only. */

#include <jansson.h>
#include <stdio.h>

#include "error.h"
#include "option.h"
#include "schema.h"
#include "scope-property.h"
#include "value.h"
#include "verb.h"

/* A string, or null. */
static json_t *text(const char *s)
{
    return s ? json_string(s) : json_null();
}

/* A bound as a person writes it; of a string it is a number of bytes. */
static json_t *bound(const SettingKey *key, uint64_t value)
{
    g_autofree char *s = NULL;
    if (value == 0)
        return json_null();
    if (key->type == SETTING_SIZE)
        s = format_size(value);
    else if (key->type == SETTING_DURATION)
        s = format_duration(value);
    else
        s = g_strdup_printf("%" G_GUINT64_FORMAT, value);
    return json_string(s);
}

static json_t *sections(const Schema *schema)
{
    json_t *array = json_array();
    for (const SettingSection *s = schema->sections; s->name; s++)
        json_array_append_new(
                array, json_pack("{ss sb ss}", "name", s->name, "named", s->named, "summary", s->summary));
    return array;
}

static json_t *keys(const Schema *schema)
{
    json_t *array = json_array();
    for (const SettingKey *k = schema->keys; k->section; k++)
        json_array_append_new(
                array, json_pack("{ss ss ss ss so so so so sb so sb so so ss}", "section", k->section, "key",
                               k->key, "type", setting_type_to_string(k->type), "signature",
                               setting_type_to_signature(k->type), "default", text(k->default_value), "words",
                               text(k->words), "min", bound(k, k->min), "max", bound(k, k->max), "required",
                               k->required, "unless", text(k->unless), "live", k->live, "option", text(k->option), "metavar",
                               text(k->metavar), "summary", k->summary));
    return array;
}

/* What each kind of settings file may hold: "vm", "network". */
static json_t *schemas(void)
{
    json_t *object = json_object();
    for (const ObjectKind *const *kind = kinds; *kind; kind++)
        json_object_set_new(object, (*kind)->tag,
                json_pack("{ss so so}", "page", (*kind)->schema->manual, "sections",
                        sections((*kind)->schema), "keys", keys((*kind)->schema)));
    return object;
}

static json_t *scope_properties(void)
{
    json_t *array = json_array();
    for (const char *const *name = scope_property_names(); *name; name++)
        json_array_append_new(array, json_string(*name));
    return array;
}

static json_t *verb_rows(void)
{
    json_t *array = json_array();
    for (const Verb *v = verbs; v->name; v++) {
        if (!v->handler)
            json_array_append_new(array, json_pack("{ss}", "heading", v->name));
        else
            json_array_append_new(
                    array, json_pack("{ss ss ss sb so}", "name", v->name, "synopsis", v->synopsis, "summary",
                                   v->summary, "hidden", v->flags & VERB_HIDDEN, "settings",
                                   text(v->flags & VERB_SETTINGS ? verb_kind(v)->tag : NULL)));
    }
    return array;
}

/* The verbs that have an option; null: all of them. */
static json_t *owners(const Option *option)
{
    if (!option->verbs)
        return json_null();
    json_t *array = json_array();
    for (const Verb *v = verbs; v->name; v++)
        if (v->handler && option_is_for(option, v))
            json_array_append_new(array, json_string(v->name));
    return array;
}

static json_t *option_rows(void)
{
    json_t *array = json_array();
    for (const Option *o = options; o->name; o++) {
        char letter[2] = {o->letter, 0};
        json_array_append_new(array,
                json_pack("{so ss so so sb so so}", "verbs", owners(o), "name", o->name, "letter",
                        text(o->letter ? letter : NULL), "metavar", text(o->metavar), "optional",
                        o->kind == OPTION_OPTIONAL, "words", text(o->words), "summary", text(o->summary)));
    }
    return array;
}

static json_t *errors(void)
{
    json_t *array = json_array();
    for (ErrorCode code = 0; code < _ERROR_CODE_MAX; code++)
        json_array_append_new(array, json_string(error_code_to_dbus(code)));
    return array;
}

int main(void)
{
    json_t *all = json_pack("{so so so so so}", "schemas", schemas(), "scope", scope_properties(), "verbs",
            verb_rows(), "options", option_rows(), "errors", errors());
    int r = all ? json_dumpf(all, stdout, JSON_INDENT(1)) : -1;
    json_decref(all);
    putchar('\n');
    return r < 0 || fflush(stdout) != 0;
}
