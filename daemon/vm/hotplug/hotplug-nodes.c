/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hotplug-nodes.h"

#include <stdio.h>
#include <string.h>

#include "manager.h"

/* Sets of what is attached; those of the start and of snapshots are below. */
#define SET_BASE (1U << 24)

void hotplug_nodes_init(HotplugNodes *nodes, Hotplug *hotplug)
{
    nodes->hotplug = hotplug;
    nodes->only = nodes->keep = -1;
}

void hotplug_nodes_clear(HotplugNodes *nodes)
{
    g_clear_pointer(&nodes->inserted, g_free);
    g_clear_pointer(&nodes->sets, g_array_unref);
    g_clear_pointer(&nodes->kept, g_array_unref);
}

static char *stem_of(const HotplugNodes *nodes)
{
    g_autofree char *stem = machine_disk_stem(nodes->hotplug->name);
    return nodes->number > 0 ? g_strdup_printf("%s-s%u", stem, nodes->number) : g_steal_pointer(&stem);
}

char *hotplug_nodes_top(const HotplugNodes *nodes)
{
    g_autofree char *stem = stem_of(nodes);
    return blockdev_node_name(stem, 0);
}

/* ---- what there is ---- */

/* A node of the disk: "root-node1", and with a number "root-s3-node0". */
typedef struct Node {
    char *name;
    unsigned number, depth;
    bool file;
} Node;

static void node_clear(void *userdata)
{
    g_free(((Node *) userdata)->name);
}

static bool node_parse(const char *name, const char *disk, Node *ret)
{
    size_t length = strlen(disk);
    unsigned number = 0, depth;
    int n = 0;
    if (strncmp(name, disk, length) != 0 || name[length] != '-')
        return false;
    const char *rest = name + length + 1;
    if (sscanf(rest, "s%u-%n", &number, &n) == 1 && n > 0)
        rest += n;
    bool file = g_str_has_prefix(rest, "file");
    n = 0;
    if ((!file && !g_str_has_prefix(rest, "node")) || sscanf(rest + 4, "%u%n", &depth, &n) != 1 || rest[4 + n])
        return false;
    *ret = (Node){.name = g_strdup(name), .number = number, .depth = depth, .file = file};
    return true;
}

/* What stands on others first: the newest overlay, from the top of its chain down. */
static gint node_compare(gconstpointer a, gconstpointer b)
{
    const Node *x = a, *y = b;
    if (x->number != y->number)
        return x->number > y->number ? -1 : 1;
    return x->depth != y->depth ? (x->depth < y->depth ? -1 : 1) : (int) x->file - (int) y->file;
}

static bool on_blocks(const json_t *result, void *userdata, Error **ret_error)
{
    HotplugNodes *nodes = userdata;
    if (!nodes->inserted)
        nodes->inserted = g_strdup(machine_disk_find_node(result, nodes->hotplug->name));
    return true;
}

static bool on_names(const json_t *result, void *userdata, Error **ret_error)
{
    HotplugNodes *nodes = userdata;
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
    g_autofree char *stem = machine_disk_stem(nodes->hotplug->name);
    size_t i;
    json_t *one;
    json_array_foreach((json_t *) result, i, one) {
        const char *name = json_string_value(json_object_get(one, "node-name"));
        Node node;
        if (!name || !node_parse(name, stem, &node))
            continue;
        g_hash_table_add(taken, GUINT_TO_POINTER(node.number));
        node_clear(&node);
    }
    nodes->number = 1;
    while (g_hash_table_contains(taken, GUINT_TO_POINTER(nodes->number)))
        nodes->number++;
    nodes->found = true;
    return true;
}

void hotplug_nodes_find(HotplugNodes *nodes, Script *script)
{
    script_add_question(script, "query-block", NULL, on_blocks, nodes);
    script_add_question(script, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_names, nodes);
}

/* ---- adding ---- */

static bool on_free_sets(const json_t *result, void *userdata, Error **ret_error)
{
    HotplugNodes *nodes = userdata;
    const Hotplug *hotplug = nodes->hotplug;
    const BlockdevOptions options = machine_disk_options(hotplug->settings, nodes->disk, hotplug->vm->manager->io_uring);
    g_autofree char *stem = stem_of(nodes);
    size_t i;
    json_t *one;
    unsigned last = SET_BASE;
    json_array_foreach((json_t *) result, i, one) {
        json_int_t set = json_integer_value(json_object_get(one, "fdset-id"));
        if (set > last && set < G_MAXINT - IMAGE_CHAIN_MAX)
            last = (unsigned) set;
    }
    script_add_image_with(nodes->script, nodes->disk->image, stem, &options, &last);
    return true;
}

void hotplug_nodes_add(HotplugNodes *nodes, Script *script)
{
    nodes->script = script;
    if (nodes->disk->image)
        script_add_question(script, "query-fdsets", NULL, on_free_sets, nodes);
}

/* ---- removing ---- */

static bool is_wanted(const HotplugNodes *nodes, unsigned number)
{
    return (nodes->only < 0 || number == (unsigned) nodes->only) && (nodes->keep < 0 || number != (unsigned) nodes->keep);
}

static bool on_all_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    HotplugNodes *nodes = userdata;
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(Node));
    g_autofree char *stem = machine_disk_stem(nodes->hotplug->name);
    size_t i;
    json_t *one;
    g_array_set_clear_func(found, node_clear);
    json_array_foreach((json_t *) result, i, one) {
        const char *name = json_string_value(json_object_get(one, "node-name")), *file = json_string_value(json_object_get(one, "file"));
        Node node = {0};
        unsigned set = 0;
        if (file)
            (void) sscanf(file, "/dev/fdset/%u", &set);
        bool goes = name && node_parse(name, stem, &node) && is_wanted(nodes, node.number);
        if (goes)
            g_array_append_val(found, node);
        else
            node_clear(&node);
        if (set > 0)
            g_array_append_val(goes ? nodes->sets : nodes->kept, set);
    }
    g_array_sort(found, node_compare);
    for (guint j = 0; j < found->len; j++)
        script_add_call(nodes->script, "blockdev-del", json_pack("{ss}", "node-name", g_array_index(found, Node, j).name));
    return true;
}

static bool has(const GArray *sets, unsigned set)
{
    for (guint i = 0; i < sets->len; i++)
        if (g_array_index(sets, unsigned, i) == set)
            return true;
    return false;
}

/* Those of the nodes that go, and those over which there came to be no node: one thing at a time comes or goes, so they are of this one, or of
 * one in which vmd was killed. */
static bool on_all_sets(const json_t *result, void *userdata, Error **ret_error)
{
    const HotplugNodes *nodes = userdata;
    size_t i;
    json_t *one;
    json_array_foreach((json_t *) result, i, one) {
        json_int_t set = json_integer_value(json_object_get(one, "fdset-id"));
        if (set > 0 && set <= G_MAXINT && !has(nodes->kept, (unsigned) set) && (set > SET_BASE || has(nodes->sets, (unsigned) set)))
            script_add_call(nodes->script, "remove-fd", json_pack("{sI}", "fdset-id", set));
    }
    return true;
}

void hotplug_nodes_remove(HotplugNodes *nodes, Script *script)
{
    g_clear_pointer(&nodes->sets, g_array_unref);
    g_clear_pointer(&nodes->kept, g_array_unref);
    nodes->sets = g_array_new(FALSE, FALSE, sizeof(unsigned));
    nodes->kept = g_array_new(FALSE, FALSE, sizeof(unsigned));
    nodes->script = script;
    script_add_question(script, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_all_nodes, nodes);
    script_add_question(script, "query-fdsets", NULL, on_all_sets, nodes);
}
