/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claims.h"

#include "backup.h"
#include "manager.h"
#include "volume.h"

static bool has(const GArray *images, const ImageIdentity *wanted)
{
    for (guint i = 0; i < images->len; i++) {
        const ImageIdentity *image = &g_array_index(images, ImageIdentity, i);
        if (image->dev == wanted->dev && image->inode == wanted->inode && !(image->read_only && wanted->read_only))
            return true;
    }
    return false;
}

static const VM *find_vm(const Manager *manager, const VM *but, const ImageIdentity *wanted)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        if (vm == but)
            continue;
        if ((vm->instance && has(vm->instance->images, wanted)) || (vm->backup && has(backup_images(vm->backup), wanted)))
            return vm;
    }
    return NULL;
}

static const VolumeWork *find_work(const Manager *manager, const ImageIdentity *wanted)
{
    for (guint i = 0; i < manager->works->len; i++) {
        const VolumeWork *work = manager->works->pdata[i];
        if (has(volume_work_images(work), wanted))
            return work;
    }
    return NULL;
}

bool claim_images(const Manager *manager, const void *holder, GArray *images, const Image *image, Error **ret_error)
{
    for (; image; image = image->backing) {
        ImageIdentity identity = {.dev = image->dev, .inode = image->inode, .read_only = image->read_only};
        const VM *vm = find_vm(manager, NULL, &identity);
        const VolumeWork *work = find_work(manager, &identity);
        if (has(images, &identity))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, image->path, NULL, "two disks of this VM use it, and one of them writes");
        if (vm && vm != holder) {
            g_autofree char *remedy = g_strdup_printf("Stop %s, or use another image", vm->name);
            return error_set(ret_error, ERROR_IN_USE, image->path, remedy, "VM \"%s\" uses it", vm->name);
        }
        if (work && work != holder)
            return error_set(ret_error, ERROR_IN_USE, image->path, "Wait for it, or cancel it (vmctl jobs)", "a job works on it");
        /* Those of vmd's have been named. */
        if (image->read_elsewhere)
            return error_set(ret_error, ERROR_IN_USE, image->path, "Wait until that has ended", "somebody reads it who wants nobody to write it");
        g_array_append_val(images, identity);
    }
    return true;
}

bool claim_disk(VM *vm, const char *name, const Image *image, Error **ret_error)
{
    GArray *images = vm->instance->images;
    guint before = images->len;
    if (!claim_images(vm->manager, vm, images, image, ret_error)) {
        g_array_set_size(images, before);
        return false;
    }
    for (guint i = before; i < images->len; i++)
        (void) g_strlcpy(g_array_index(images, ImageIdentity, i).disk, name, sizeof ((ImageIdentity *) NULL)->disk);
    return true;
}

void claim_release_disk(VM *vm, const char *name)
{
    GArray *images = vm->instance->images;
    for (guint i = images->len; i > 0; i--)
        if (g_str_equal(g_array_index(images, ImageIdentity, i - 1).disk, name))
            g_array_remove_index(images, i - 1);
}

GArray *claim_copy_disk(const VM *vm, const char *name)
{
    GArray *images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    for (guint i = 0; i < vm->instance->images->len; i++)
        if (g_str_equal(g_array_index(vm->instance->images, ImageIdentity, i).disk, name))
            g_array_append_val(images, g_array_index(vm->instance->images, ImageIdentity, i));
    return images;
}

void claim_reset_disk(VM *vm, const char *name, const GArray *images)
{
    claim_release_disk(vm, name);
    g_array_append_vals(vm->instance->images, images->data, images->len);
}

VM *claim_find_disk(const Manager *manager, const Image *image, const char **ret_disk)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        VM *vm = value;
        for (guint i = 0; vm->instance && i < vm->instance->images->len; i++) {
            const ImageIdentity *one = &g_array_index(vm->instance->images, ImageIdentity, i);
            if (one->dev != image->dev || one->inode != image->inode || one->read_only || !*one->disk)
                continue;
            *ret_disk = one->disk;
            return vm;
        }
    }
    return NULL;
}

char *claim_holder(const Manager *manager, const VM *but, uint64_t dev, uint64_t inode)
{
    const ImageIdentity wanted = {.dev = dev, .inode = inode};
    const VM *vm = find_vm(manager, but, &wanted);
    if (vm)
        return vm_thing(vm);
    return find_work(manager, &wanted) ? g_strdup("a job") : NULL;
}
