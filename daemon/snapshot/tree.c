/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP "Snapshot"
#define TREE_GROUP "Tree"

#define TREE "tree"
#define TREE_PREPARED "tree.prepared"
#define PREPARED "prepared"

static const char *const acts[_SNAPSHOT_ACT_MAX] = {
    [SNAPSHOT_NOTHING] = "nothing",
    [SNAPSHOT_CREATE] = "create",
    [SNAPSHOT_REVERT] = "revert",
    [SNAPSHOT_MERGE] = "merge",
};

static void layer_free(void *userdata)
{
    Layer *layer = userdata;
    g_free(layer->section);
    g_free(layer->path);
    g_free(layer->frozen);
    g_free(layer->format);
    g_free(layer);
}

static void one_free(void *userdata)
{
    Snapshot *snapshot = userdata;
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_free(snapshot->machine);
    g_free(snapshot->unquiesced);
    g_free(snapshot->nvram);
    g_ptr_array_unref(snapshot->layers);
    g_free(snapshot);
}

void snapshot_tree_free(SnapshotTree *tree)
{
    if (!tree)
        return;
    g_free(tree->dir);
    g_ptr_array_unref(tree->all);
    g_free(tree);
}

static Snapshot *snapshot_new(unsigned id)
{
    Snapshot *snapshot = g_new0(Snapshot, 1);
    snapshot->id = id;
    snapshot->layers = g_ptr_array_new_with_free_func(layer_free);
    return snapshot;
}

Snapshot *snapshot_add(SnapshotTree *tree, const char *name)
{
    Snapshot *snapshot = snapshot_new(++tree->last);
    snapshot->name = g_strdup(name);
    snapshot->parent = tree->current;
    snapshot->created = (uint64_t) g_get_real_time();
    g_ptr_array_add(tree->all, snapshot);
    return snapshot;
}

/* "/srv/web.qcow2" becomes "/srv/web@3.qcow2": no name that a volume can have. */
static char *frozen_name(const char *path, unsigned id)
{
    g_autofree char *dir = g_path_get_dirname(path), *base = g_path_get_basename(path);
    const char *dot = strrchr(base, '.');
    size_t stem = dot && dot > base ? (size_t) (dot - base) : strlen(base);
    g_autofree char *name = g_strdup_printf("%.*s@%u%s", (int) stem, base, id, base + stem);
    return g_build_filename(dir, name, NULL);
}

Layer *snapshot_add_layer(Snapshot *snapshot, const char *section, const char *path, const char *format, bool volume)
{
    Layer *layer = g_new0(Layer, 1);
    layer->section = g_strdup(section);
    layer->path = g_strdup(path);
    layer->frozen = frozen_name(path, snapshot->id);
    layer->format = g_strdup(format);
    layer->volume = volume;
    g_ptr_array_add(snapshot->layers, layer);
    return layer;
}

/* ---- on disk ---- */

char *snapshot_file(const SnapshotTree *tree, const Snapshot *snapshot, const char *suffix)
{
    return g_strdup_printf("%s/%u.%s", tree->dir, snapshot->id, suffix);
}

static bool write_key_file(GKeyFile *file, const char *path, Error **ret_error)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &error))
        return error_set(ret_error, g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? ERROR_NO_SPACE : ERROR_FAILED, path, NULL,
            "it cannot be written: %s", error->message);
    return true;
}

static bool write_tree(const SnapshotTree *tree, const char *name, Error **ret_error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = g_build_filename(tree->dir, name, NULL);
    if (g_mkdir_with_parents(tree->dir, 0700) < 0)
        return error_set_errno(ret_error, errno, tree->dir, "the folder cannot be made");
    g_key_file_set_uint64(file, TREE_GROUP, "Current", tree->current);
    g_key_file_set_uint64(file, TREE_GROUP, "Last", tree->last);
    g_key_file_set_string(file, TREE_GROUP, "Act", acts[tree->act]);
    g_key_file_set_uint64(file, TREE_GROUP, "Subject", tree->subject);
    return write_key_file(file, path, ret_error);
}

bool snapshot_tree_write(const SnapshotTree *tree, Error **ret_error)
{
    return write_tree(tree, TREE, ret_error);
}

static bool write_snapshot(const SnapshotTree *tree, const Snapshot *snapshot, const char *suffix, Error **ret_error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = snapshot_file(tree, snapshot, suffix);
    g_key_file_set_string(file, GROUP, "Name", snapshot->name);
    g_key_file_set_uint64(file, GROUP, "Parent", snapshot->parent);
    g_key_file_set_uint64(file, GROUP, "Created", snapshot->created);
    g_key_file_set_boolean(file, GROUP, "Memory", snapshot->memory);
    g_key_file_set_boolean(file, GROUP, "Hidden", snapshot->hidden);
    g_key_file_set_boolean(file, GROUP, "Quiesced", snapshot->quiesced);
    if (snapshot->tpm)
        g_key_file_set_boolean(file, GROUP, "TPM", true);
    if (snapshot->resumes)
        g_key_file_set_boolean(file, GROUP, "Resumes", true);
    if (snapshot->unquiesced)
        g_key_file_set_string(file, GROUP, "Unquiesced", snapshot->unquiesced);
    if (snapshot->description)
        g_key_file_set_string(file, GROUP, "Description", snapshot->description);
    if (snapshot->machine)
        g_key_file_set_string(file, GROUP, "Machine", snapshot->machine);
    if (snapshot->nvram)
        g_key_file_set_string(file, GROUP, "Nvram", snapshot->nvram);
    for (guint i = 0; i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i];
        g_key_file_set_string(file, layer->section, "Path", layer->path);
        g_key_file_set_string(file, layer->section, "Frozen", layer->frozen);
        g_key_file_set_string(file, layer->section, "Format", layer->format);
        g_key_file_set_boolean(file, layer->section, "Volume", layer->volume);
        g_key_file_set_uint64(file, layer->section, "OverlayDevice", layer->dev);
        g_key_file_set_uint64(file, layer->section, "OverlayInode", layer->inode);
    }
    return write_key_file(file, path, ret_error);
}

bool snapshot_write(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error)
{
    return write_snapshot(tree, snapshot, "snapshot", ret_error);
}

bool snapshot_prepare_hidden(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error)
{
    SnapshotTree then = *tree;
    Snapshot hidden = *snapshot;
    then.current = snapshot->id;
    then.act = SNAPSHOT_NOTHING;
    hidden.hidden = true;
    return write_tree(&then, TREE_PREPARED, ret_error) && write_snapshot(&then, &hidden, PREPARED, ret_error);
}

/* The record first: with that alone the next vmd does the rest. */
bool snapshot_hide_prepared(const SnapshotTree *tree, const Snapshot *snapshot, Error **ret_error)
{
    g_autofree char *from = snapshot_file(tree, snapshot, PREPARED), *to = snapshot_file(tree, snapshot, "snapshot");
    g_autofree char *from_tree = g_build_filename(tree->dir, TREE_PREPARED, NULL), *to_tree = g_build_filename(tree->dir, TREE, NULL);
    if (rename(from, to) < 0 || rename(from_tree, to_tree) < 0)
        return error_set_errno(ret_error, errno, to, "it cannot be put in place");
    return true;
}

void snapshot_forget_prepared(const SnapshotTree *tree, const Snapshot *snapshot)
{
    g_autofree char *path = snapshot_file(tree, snapshot, PREPARED), *path_tree = g_build_filename(tree->dir, TREE_PREPARED, NULL);
    (void) unlink(path);
    (void) unlink(path_tree);
}

void snapshot_remove(SnapshotTree *tree, Snapshot *snapshot)
{
    /* The record last: what is left without the rest can still be deleted. */
    static const char *const suffixes[] = {"memory", "settings", "nvram", "tpm", "snapshot"};
    snapshot_forget_prepared(tree, snapshot);
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = snapshot_file(tree, snapshot, suffixes[i]);
        (void) unlink(path);
    }
    g_ptr_array_remove(tree->all, snapshot);
    if (tree->all->len > 0)
        return;
    g_autofree char *path = g_build_filename(tree->dir, TREE, NULL);
    (void) unlink(path);
    (void) rmdir(tree->dir);
}

static bool read_layer(Snapshot *snapshot, GKeyFile *file, const char *section)
{
    g_autofree char *path = g_key_file_get_string(file, section, "Path", NULL), *frozen = g_key_file_get_string(file, section, "Frozen", NULL);
    g_autofree char *format = g_key_file_get_string(file, section, "Format", NULL);
    if (!path || !frozen || !format)
        return false;
    Layer *layer = snapshot_add_layer(snapshot, section, path, format, g_key_file_get_boolean(file, section, "Volume", NULL));
    g_free(layer->frozen);
    layer->frozen = g_steal_pointer(&frozen);
    layer->dev = g_key_file_get_uint64(file, section, "OverlayDevice", NULL);
    layer->inode = g_key_file_get_uint64(file, section, "OverlayInode", NULL);
    return true;
}

static bool read_one(SnapshotTree *tree, const char *name, Error **ret_error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(tree->dir, name, NULL);
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be read: %s", error->message);
    Snapshot *snapshot = snapshot_new((unsigned) strtoul(name, NULL, 10));
    g_ptr_array_add(tree->all, snapshot);
    snapshot->name = g_key_file_get_string(file, GROUP, "Name", NULL);
    snapshot->parent = (unsigned) g_key_file_get_uint64(file, GROUP, "Parent", NULL);
    snapshot->created = g_key_file_get_uint64(file, GROUP, "Created", NULL);
    snapshot->memory = g_key_file_get_boolean(file, GROUP, "Memory", NULL);
    snapshot->tpm = g_key_file_get_boolean(file, GROUP, "TPM", NULL);
    snapshot->resumes = g_key_file_get_boolean(file, GROUP, "Resumes", NULL);
    snapshot->hidden = g_key_file_get_boolean(file, GROUP, "Hidden", NULL);
    snapshot->description = g_key_file_get_string(file, GROUP, "Description", NULL);
    snapshot->machine = g_key_file_get_string(file, GROUP, "Machine", NULL);
    snapshot->nvram = g_key_file_get_string(file, GROUP, "Nvram", NULL);
    snapshot->quiesced = g_key_file_get_boolean(file, GROUP, "Quiesced", NULL);
    snapshot->unquiesced = g_key_file_get_string(file, GROUP, "Unquiesced", NULL);
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    bool whole = snapshot->name && snapshot->id > 0;
    for (char **group = groups; whole && *group; group++)
        whole = g_str_equal(*group, GROUP) || read_layer(snapshot, file, *group);
    return whole || error_set(ret_error, ERROR_FAILED, path, NULL, "it is damaged");
}

static void read_tree(SnapshotTree *tree)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = g_build_filename(tree->dir, TREE, NULL);
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return;
    g_autofree char *act = g_key_file_get_string(file, TREE_GROUP, "Act", NULL);
    tree->current = (unsigned) g_key_file_get_uint64(file, TREE_GROUP, "Current", NULL);
    tree->last = (unsigned) g_key_file_get_uint64(file, TREE_GROUP, "Last", NULL);
    tree->subject = (unsigned) g_key_file_get_uint64(file, TREE_GROUP, "Subject", NULL);
    for (SnapshotAct a = 0; act && a < _SNAPSHOT_ACT_MAX; a++)
        if (g_str_equal(act, acts[a]))
            tree->act = a;
}

static gint compare_ids(gconstpointer a, gconstpointer b)
{
    const Snapshot *const *x = a, *const *y = b;
    return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

SnapshotTree *snapshot_tree_load(const char *dir, Error **ret_error)
{
    g_autoptr(SnapshotTree) tree = g_new0(SnapshotTree, 1);
    tree->dir = g_strdup(dir);
    tree->all = g_ptr_array_new_with_free_func(one_free);
    read_tree(tree);
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder)))
        if (g_str_has_suffix(name, ".snapshot") && !read_one(tree, name, ret_error))
            return NULL;
    g_ptr_array_sort(tree->all, compare_ids);
    return g_steal_pointer(&tree);
}

/* ---- looking ---- */

Snapshot *snapshot_find(const SnapshotTree *tree, const char *name)
{
    for (guint i = 0; i < tree->all->len; i++) {
        Snapshot *snapshot = tree->all->pdata[i];
        if (!snapshot->hidden && g_str_equal(snapshot->name, name))
            return snapshot;
    }
    return NULL;
}

Snapshot *snapshot_find_or_error(const SnapshotTree *tree, const char *vm, const char *name, Error **ret_error)
{
    Snapshot *snapshot = snapshot_find(tree, name);
    g_autofree char *thing = g_strdup_printf("Snapshot \"%.64s\"", name), *remedy = g_strdup_printf("See 'vmctl snapshot list %s'", vm);
    if (!snapshot)
        error_set(ret_error, ERROR_NO_SUCH_SNAPSHOT, thing, remedy, "VM \"%s\" has no such snapshot", vm);
    return snapshot;
}

Snapshot *snapshot_find_id(const SnapshotTree *tree, unsigned id)
{
    for (guint i = 0; i < tree->all->len; i++) {
        Snapshot *snapshot = tree->all->pdata[i];
        if (snapshot->id == id)
            return snapshot;
    }
    return NULL;
}

Layer *snapshot_find_layer(const Snapshot *snapshot, const char *section)
{
    for (guint i = 0; i < snapshot->layers->len; i++) {
        Layer *layer = snapshot->layers->pdata[i];
        if (g_str_equal(layer->section, section))
            return layer;
    }
    return NULL;
}

unsigned snapshot_count_children(const SnapshotTree *tree, const Snapshot *snapshot, unsigned *ret_child)
{
    unsigned n = tree->current == snapshot->id;
    *ret_child = 0;
    for (guint i = 0; i < tree->all->len; i++) {
        const Snapshot *other = tree->all->pdata[i];
        if (other->parent != snapshot->id)
            continue;
        *ret_child = other->id;
        n++;
    }
    return n;
}
