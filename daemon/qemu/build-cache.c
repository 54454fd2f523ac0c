/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "build-cache.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "json-file.h"
#include "qmp-message.h"

#define FORMAT 4
#define FILE_MAX (1024U * 1024U)

/* "CACHE_DIR/qemu/qemu-system-x86_64-1f0c9d4a.json": readable, and one for each path of each tree. */
static char *file_name(const char *cache_dir, const char *root, const char *path)
{
    g_autofree char *base = g_path_get_basename(path), *whole = g_strconcat(root ?: "", root ? "\n" : "", path, NULL);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);
    g_autofree char *name = NULL;

    g_strcanon(base, G_CSET_a_2_z G_CSET_A_2_Z "0123456789._-", '_');
    name = g_strdup_printf("%.64s-%.16s.json", base, sum);
    return g_build_filename(cache_dir, "qemu", name, NULL);
}

static bool get_number(const json_t *object, const char *key, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value))
        return false;
    *ret = (uint64_t) json_integer_value(value);
    return true;
}

static json_t *file_to_json(const char *path, const FileIdentity *file)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "path", path, "device", (json_int_t) file->device, "inode",
            (json_int_t) file->inode, "mtime", (json_int_t) file->mtime_nsec, "size",
            (json_int_t) file->size);
}

static char *file_from_json(const json_t *json, FileIdentity *ret)
{
    const char *path = json_string_value(json_object_get(json, "path"));
    FileIdentity file;

    if (!path || !g_path_is_absolute(path) || !get_number(json, "device", &file.device) ||
            !get_number(json, "inode", &file.inode) || !get_number(json, "mtime", &file.mtime_nsec) ||
            !get_number(json, "size", &file.size))
        return NULL;
    *ret = file;
    return g_strdup(path);
}

static bool identity_from_json(const json_t *json, BuildIdentity *ret)
{
    const json_t *program = json_object_get(json, "program");
    const char *root = json_string_value(json_object_get(json, "root"));

    ret->root = g_strdup(root);
    ret->image = root && json_is_true(json_object_get(json, "image"));
    if (!get_number(json, "modules", &ret->modules))
        return false;
    ret->path = file_from_json(json_object_get(json, "binary"), &ret->file);
    if (program)
        ret->program = file_from_json(program, &ret->program_file);
    return ret->path && (!program || ret->program);
}

static json_t *words_to_json(const WordSet *words)
{
    json_t *array = json_array();
    const char *word;

    for (size_t i = 0; (word = word_set_get(words, i)); i++)
        json_array_append_new(array, json_string(word));
    return array;
}

static bool word_with_value_is_sound(const char *word)
{
    const char *equals = strchr(word, '=');
    g_autofree char *key = equals ? g_strndup(word, (size_t) (equals - word)) : NULL;

    return equals ? word_is_sound(key) && word_is_sound(equals + 1) : word_is_sound(word);
}

static WordSet *words_from_json(const json_t *array)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    const json_t *item;
    size_t i;

    if (!json_is_array(array) || json_array_size(array) > WORDS_IN_SET_MAX)
        return NULL;
    json_array_foreach(array, i, item)
    {
        const char *word = json_string_value(item);

        if (!word || !word_with_value_is_sound(word))
            return NULL;
        g_ptr_array_add(words, (char *) word);
    }
    return word_set_new(words);
}

static QemuBuild *build_from_json(const json_t *json)
{
    g_autoptr(QemuBuild) build = g_new0(QemuBuild, 1);
    const char *version = json_string_value(json_object_get(json, "version"));
    const char *target = json_string_value(json_object_get(json, "target"));
    uint64_t format;

    build->n_ref = 1;
    if (!get_number(json, "format", &format) || format != FORMAT)
        return NULL;
    if (!identity_from_json(json, &build->identity) || !build_name_is_sound(version) ||
            !build_name_is_sound(target) || !json_is_boolean(json_object_get(json, "kvm")))
        return NULL;
    build->version = g_strdup(version);
    build->target = g_strdup(target);
    build->kvm = json_is_true(json_object_get(json, "kvm"));
    for (BuildWords i = 0; i < _BUILD_WORDS_MAX; i++) {
        build->words[i] = words_from_json(json_object_get(json, build_words_names[i]));
        if (!build->words[i])
            return NULL;
    }
    return g_steal_pointer(&build);
}

QemuBuild *build_cache_load(const char *cache_dir, const BuildIdentity *identity)
{
    g_autofree char *path = file_name(cache_dir, identity->root, identity->path);
    g_autoptr(QmpMessage) json = json_file_load(path, FILE_MAX);
    g_autoptr(QemuBuild) build = json ? build_from_json(json) : NULL;

    if (!build || !build_identity_is_at(&build->identity, identity->root, identity->path) ||
            !build_identity_holds(&build->identity))
        return NULL;
    return g_steal_pointer(&build);
}

static json_t *build_to_json(const QemuBuild *build)
{
    const BuildIdentity *id = &build->identity;
    json_t *json = json_pack("{s:i, s:o, s:I, s:s, s:s, s:b}", "format", FORMAT, "binary",
            file_to_json(id->path, &id->file), "modules", (json_int_t) id->modules, "version", build->version,
            "target", build->target, "kvm", build->kvm);

    if (json && id->root) {
        json_object_set_new(json, "root", json_string(id->root));
        json_object_set_new(json, "image", json_boolean(id->image));
    }
    if (json && id->program)
        json_object_set_new(json, "program", file_to_json(id->program, &id->program_file));
    for (BuildWords i = 0; json && i < _BUILD_WORDS_MAX; i++)
        json_object_set_new(json, build_words_names[i], words_to_json(build->words[i]));
    return json;
}

int build_cache_save(const char *cache_dir, const QemuBuild *build)
{
    g_autofree char *path = file_name(cache_dir, build->identity.root, build->identity.path);
    g_autoptr(QmpMessage) json = build_to_json(build);

    return json ? json_file_save(path, json) : -EILSEQ; /* NULL when a path is no UTF-8 */
}
