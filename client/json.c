/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <errno.h>
#include <string.h>

#include "connect.h"
#include "kind.h"
#include "report.h"

/* Deeper than anything that the bus carries (it allows 32 arrays and 32 structs). */
#define DEPTH_MAX 80

static json_t *read_value(sd_bus_message *m, unsigned depth, int *ret_r);

static json_t *read_basic(sd_bus_message *m, char type, int *ret_r)
{
    union {
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
        const char *s;
    } v = {};
    int r = sd_bus_message_read_basic(m, type, &v);
    if (r <= 0) {
        *ret_r = r < 0 ? r : -EBADMSG;
        return NULL;
    }
    switch (type) {
    case SD_BUS_TYPE_BYTE:
        return json_integer(v.y);
    case SD_BUS_TYPE_BOOLEAN:
        return json_boolean(v.b);
    case SD_BUS_TYPE_INT16:
        return json_integer(v.n);
    case SD_BUS_TYPE_UINT16:
        return json_integer(v.q);
    case SD_BUS_TYPE_INT32:
        return json_integer(v.i);
    case SD_BUS_TYPE_UINT32:
        return json_integer(v.u);
    case SD_BUS_TYPE_INT64:
        return json_integer(v.x);
    case SD_BUS_TYPE_UINT64:
        return v.t <= INT64_MAX ? json_integer((json_int_t) v.t) : json_null();
    case SD_BUS_TYPE_DOUBLE:
        return json_real(v.d);
    case SD_BUS_TYPE_STRING:
    case SD_BUS_TYPE_OBJECT_PATH:
    case SD_BUS_TYPE_SIGNATURE:
        return json_string(v.s);
    default:
        return json_null(); /* a descriptor */
    }
}

/* An array of dictionary entries with names for keys. */
static json_t *read_object(sd_bus_message *m, const char *contents, unsigned depth, int *ret_r)
{
    g_autoptr(json_t) object = json_object();
    g_autofree char *entry = g_strndup(contents + 1, strlen(contents) - 2);
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, contents);
    while (r >= 0 && (r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, entry)) > 0) {
        const char *key;
        r = sd_bus_message_read_basic(m, contents[1], &key);
        if (r < 0)
            break;
        json_t *value = read_value(m, depth + 1, ret_r);
        if (!value)
            return NULL;
        (void) json_object_set_new(object, key, value);
        r = sd_bus_message_exit_container(m);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0) {
        *ret_r = r;
        return NULL;
    }
    return g_steal_pointer(&object);
}

static json_t *read_array(sd_bus_message *m, char type, const char *contents, unsigned depth, int *ret_r)
{
    g_autoptr(json_t) array = json_array();
    int r = sd_bus_message_enter_container(m, type, contents);
    while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
        json_t *value = read_value(m, depth + 1, ret_r);
        if (!value)
            return NULL;
        (void) json_array_append_new(array, value);
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(m);
    if (r < 0) {
        *ret_r = r;
        return NULL;
    }
    return g_steal_pointer(&array);
}

static json_t *read_variant(sd_bus_message *m, const char *contents, unsigned depth, int *ret_r)
{
    int r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
    json_t *value = r < 0 ? NULL : read_value(m, depth + 1, ret_r);
    if (r >= 0 && value)
        r = sd_bus_message_exit_container(m);
    if (r < 0) {
        *ret_r = r;
        g_clear_pointer(&value, json_decref);
    }
    return value;
}

static json_t *read_value(sd_bus_message *m, unsigned depth, int *ret_r)
{
    const char *contents;
    char type;
    int r = sd_bus_message_peek_type(m, &type, &contents);
    if (r <= 0 || depth > DEPTH_MAX) {
        *ret_r = r < 0 ? r : -EBADMSG;
        return NULL;
    }
    if (type == SD_BUS_TYPE_VARIANT)
        return read_variant(m, contents, depth, ret_r);
    if (type == SD_BUS_TYPE_ARRAY && contents[0] == '{' && strchr("sog", contents[1]))
        return read_object(m, contents, depth, ret_r);
    if (type == SD_BUS_TYPE_ARRAY || type == SD_BUS_TYPE_STRUCT || type == SD_BUS_TYPE_DICT_ENTRY)
        return read_array(m, type, contents, depth, ret_r);
    return read_basic(m, type, ret_r);
}

json_t *json_from_message(sd_bus_message *m, int *ret_r)
{
    int r = 0;
    json_t *value = read_value(m, 0, &r);
    if (!value)
        *ret_r = r;
    return value;
}

int json_call_object(Client *client, const char *name, const char *interface, const char *method, const char *what, json_t **ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = client_call(client, name, interface, method, &reply, "s", what);
    if (r != EXIT_DONE)
        return r;
    *ret = json_from_message(reply, &r);
    return *ret ? EXIT_DONE : report_errno(r, "vmd: cannot read its answer");
}

int json_call(Client *client, const char *name, const char *interface, const char *method, json_t **ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = client_call(client, name, interface, method, &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    *ret = json_from_message(reply, &r);
    return *ret ? EXIT_DONE : report_errno(r, "vmd: cannot read its answer");
}

int json_call_array(Client *client, const char *name, const char *method, json_t **ret)
{
    return json_call(client, name, name ? client_kind(client)->interface : MANAGER_INTERFACE, method, ret);
}

json_t *json_name_members(const json_t *rows, const char *const *keys)
{
    json_t *array = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        json_t *object = json_object();
        for (size_t k = 0; keys[k]; k++)
            (void) json_object_set(object, keys[k], json_array_get(row, k));
        (void) json_array_append_new(array, object);
    }
    return array;
}

void json_print(const Client *client, const json_t *value)
{
    size_t flags =
            JSON_ENCODE_ANY | (client_json(client) == JSON_MODE_PRETTY ? JSON_INDENT(8) : JSON_COMPACT);
    (void) json_dumpf(value, stdout, flags);
    putchar('\n');
}

const char *json_get_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

uint64_t json_get_number(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));
    return number > 0 ? (uint64_t) number : 0;
}

bool json_get_bool(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

int json_get_properties(Client *client, const char *name, json_t **ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = client_get_all(client, name, name ? client_kind(client)->interface : MANAGER_INTERFACE, &reply);
    if (r != EXIT_DONE)
        return r;
    json_t *properties = json_from_message(reply, &r);
    if (!properties)
        return report_errno(r, "vmd: cannot read its answer");
    *ret = properties;
    return EXIT_DONE;
}

void note_restart(Client *client, const char *name)
{
    const ObjectKind *kind = client_kind(client);
    g_autoptr(json_t) properties = NULL;
    if (client->quiet || json_get_properties(client, name, &properties) != EXIT_DONE)
        return;
    bool runs = strcmp(json_get_string(properties, "State"), "running") == 0;
    /* A folder may be another one at once, what is mounted may not. */
    bool keeps = kind == &kind_network || (kind == &kind_pool && *json_get_string(properties, "Unit"));
    if (json_get_bool(properties, "NeedsRestart") || (runs && keeps))
        note(client, "%s \"%s\" runs; the change holds from its next start on.", kind->word, name);
}
