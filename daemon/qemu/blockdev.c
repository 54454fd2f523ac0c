/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blockdev.h"

#include <glib.h>

char *blockdev_file_name(const char *name, unsigned depth)
{
    return g_strdup_printf("%s-file%u", name, depth);
}

char *blockdev_node_name(const char *name, unsigned depth)
{
    return g_strdup_printf("%s-node%u", name, depth);
}

static json_t *cache(const Image *image, const BlockdevOptions *options)
{
    return json_pack("{sb sb}", "direct", image->direct, "no-flush", options->no_flush);
}

static const char *discard(const Image *image, const BlockdevOptions *options)
{
    return options->discard && !image->read_only ? "unmap" : "ignore";
}

/* QEMU 7.2 was seen to wait for ever for the end of a request while it opened an image with bitmaps, which it writes to then, in its main
 * thread; and once for a CD, whose requests are that thread's, too. */
static const char *aio(const Image *image, const BlockdevOptions *options)
{
    return options->io_uring && !image->has_bitmaps ? "io_uring" : "threads";
}

json_t *blockdev_file(const Image *image, const char *name, unsigned depth, unsigned set, const BlockdevOptions *options)
{
    g_autofree char *node = blockdev_file_name(name, depth), *file = g_strdup_printf("/dev/fdset/%u", set);
    return json_pack("{ss ss ss ss ss sb so}", "driver", image->block_device ? "host_device" : "file", "node-name", node,
        "filename", file, "aio", aio(image, options), "discard", discard(image, options), "read-only",
        image->read_only, "cache", cache(image, options));
}

json_t *blockdev_format(const Image *image, const char *name, unsigned depth, const BlockdevOptions *options)
{
    g_autofree char *node = blockdev_node_name(name, depth), *file = blockdev_file_name(name, depth);
    g_autofree char *next = blockdev_node_name(name, depth + 1);
    json_t *format = json_pack("{ss ss ss sb ss so}", "driver", image->driver ? image->driver : image_format_to_string(image->format), "node-name", node, "file", file,
        "read-only", image->read_only, "discard", discard(image, options), "cache", cache(image, options));
    if (options->discard && !image->read_only)
        json_object_set_new(format, "detect-zeroes", json_string("unmap"));
    if (image->format == IMAGE_QCOW2 || g_strcmp0(image->driver, "vmdk") == 0)
        json_object_set_new(format, "backing", image->backing ? json_string(next) : json_null());
    return format;
}

const json_t *blockdev_find_node(const json_t *nodes, const char *name)
{
    size_t i;
    json_t *node;
    json_array_foreach((json_t *) nodes, i, node)
        if (g_strcmp0(json_string_value(json_object_get(node, "node-name")), name) == 0)
            return node;
    return NULL;
}
