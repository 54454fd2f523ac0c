/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bitmaps.h"

#include <glib.h>

#define PREFIX "vmd-"
#define BITMAPS_MAX 64U /* what a node has more of is not its checkpoints alone */
#define REMOVED_MAX 1024U

static bool is_ours(const json_t *bitmap)
{
    const char *name = json_string_value(json_object_get(bitmap, "name"));
    return name && g_str_has_prefix(name, PREFIX) && json_is_true(json_object_get(bitmap, "persistent"));
}

static bool is_spoilt(const json_t *bitmap)
{
    return json_is_true(json_object_get(bitmap, "inconsistent"));
}

json_t *bitmaps_of(const json_t *node)
{
    json_t *good = json_array(), *bitmap;
    size_t i;
    json_array_foreach(json_object_get(node, "dirty-bitmaps"), i, bitmap)
        if (is_ours(bitmap) && json_is_true(json_object_get(bitmap, "recording")) && !is_spoilt(bitmap) &&
            json_array_size(good) < BITMAPS_MAX)
            json_array_append(good, bitmap);
    return good;
}

static json_int_t size_of(const json_t *node)
{
    return json_integer_value(json_object_get(json_object_get(node, "image"), "virtual-size"));
}

/* They are stored in qcow2 images of version 3 alone. */
bool bitmaps_fit(const json_t *from, const json_t *to)
{
    const json_t *data = json_object_get(json_object_get(json_object_get(to, "image"), "format-specific"), "data");
    return g_strcmp0(json_string_value(json_object_get(to, "drv")), "qcow2") == 0 && size_of(to) <= size_of(from) &&
        g_strcmp0(json_string_value(json_object_get(data, "compat")), "0.10") != 0;
}

void bitmaps_copy(json_t *actions, const json_t *bitmaps, const char *from, const char *to)
{
    size_t i;
    json_t *bitmap;
    json_array_foreach((json_t *) bitmaps, i, bitmap) {
        const char *name = json_string_value(json_object_get(bitmap, "name"));
        json_array_append_new(actions, json_pack("{ss s{ss ss sO sb}}", "type", "block-dirty-bitmap-add", "data", "node", to, "name", name, "granularity",
            json_object_get(bitmap, "granularity"), "persistent", 1));
        json_array_append_new(actions, json_pack("{ss s{ss ss s[{ss ss}]}}", "type", "block-dirty-bitmap-merge", "data", "node", to, "target", name,
            "bitmaps", "node", from, "name", name));
    }
}

void bitmaps_remove(json_t *actions, const json_t *node, BitmapSet set)
{
    size_t i, n = 0;
    json_t *bitmap;
    json_array_foreach(json_object_get(node, "dirty-bitmaps"), i, bitmap) {
        bool among = set == BITMAPS_ALL || is_spoilt(bitmap) || (set == BITMAPS_CHECKPOINTS && is_ours(bitmap));
        /* Those that a device uses for itself have no name. */
        if (among && json_is_string(json_object_get(bitmap, "name")) && n++ < REMOVED_MAX)
            json_array_append_new(actions, json_pack("{ss s{sO sO}}", "type", "block-dirty-bitmap-remove", "data", "node", json_object_get(node, "node-name"),
                "name", json_object_get(bitmap, "name")));
    }
}
