/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "merge-record.h"

#include <unistd.h>

#include "settings.h"

#define GROUP "Merge"

static char *record_path(const VM *vm)
{
    return g_build_filename(vm->instance->dir, "merge", NULL);
}

void merge_record_clear(MergeRecord *record)
{
    g_free(record->section);
    g_free(record->top);
    g_free(record->base);
    *record = (MergeRecord){.snapshot = 0};
}

void merge_record_read(const VM *vm, MergeRecord *ret)
{
    g_autofree char *path = record_path(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    *ret = (MergeRecord){.snapshot = 0};
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return;
    ret->snapshot = (unsigned) g_key_file_get_uint64(file, GROUP, "Snapshot", NULL);
    ret->section = g_key_file_get_string(file, GROUP, "Section", NULL);
    ret->top = g_key_file_get_string(file, GROUP, "Top", NULL);
    ret->base = g_key_file_get_string(file, GROUP, "Base", NULL);
    ret->top_dev = g_key_file_get_uint64(file, GROUP, "TopDevice", NULL);
    ret->top_inode = g_key_file_get_uint64(file, GROUP, "TopInode", NULL);
    ret->paused = g_key_file_get_boolean(file, GROUP, "Paused", NULL);
    if (!ret->section || !ret->top || !ret->base)
        merge_record_clear(ret);
}

bool merge_record_write(const VM *vm, const MergeRecord *record, Error **ret_error)
{
    g_autofree char *path = record_path(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_uint64(file, GROUP, "Snapshot", record->snapshot);
    g_key_file_set_string(file, GROUP, "Section", record->section);
    g_key_file_set_string(file, GROUP, "Top", record->top);
    g_key_file_set_string(file, GROUP, "Base", record->base);
    g_key_file_set_uint64(file, GROUP, "TopDevice", record->top_dev);
    g_key_file_set_uint64(file, GROUP, "TopInode", record->top_inode);
    g_key_file_set_boolean(file, GROUP, "Paused", record->paused);
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    int r = settings_write(path, text, 0600, false);
    return r >= 0 || error_set_errno(ret_error, r, path, "it cannot be written");
}

void merge_record_forget(const VM *vm)
{
    g_autofree char *path = record_path(vm);
    (void) unlink(path);
}
