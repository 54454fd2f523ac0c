/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file-methods.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "settings-dbus.h"

void settings_file_clear(SettingsFile *file)
{
    g_free(file->path);
}

bool file_create(const SettingsFile *file, sd_bus_message *m, const char *thing, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = settings_changes_read(file->schema, m, ret_error);
    g_autofree char *text = changes ? settings_edit(file->schema, "", changes->items, changes->n, thing, ret_error) : NULL;
    if (!text || !file->check(file->object, text, thing, ret_error))
        return false;
    int r = settings_write(file->path, text, 0644, true);
    if (r == -EEXIST)
        return error_set(ret_error, ERROR_EXISTS, file->path, "Mend or delete that file", "there is such a file");
    return r >= 0 || error_set_errno(ret_error, r, file->path, "it cannot be written");
}

bool file_get_settings(const SettingsFile *file, sd_bus_message *m, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_load(file->schema, file->path, ret_error);
    if (!settings)
        return false;
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = settings_append(reply, settings);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the settings cannot be sent");
}

static bool write_text(const SettingsFile *file, const char *text, Error **ret_error)
{
    if (!file->check(file->object, text, file->path, ret_error))
        return false;
    int r = settings_write(file->path, text, 0644, false);
    if (r < 0)
        return error_set_errno(ret_error, r, file->path, "it cannot be written");
    file->written(file->object);
    return true;
}

bool file_set_settings(const SettingsFile *file, sd_bus_message *m, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = settings_changes_read(file->schema, m, ret_error);
    g_autofree char *text = changes ? settings_read_text(file->path, ret_error) : NULL;
    if (!text)
        return false;
    g_autofree char *edited = settings_edit(file->schema, text, changes->items, changes->n, file->path, ret_error);
    if (!edited || !write_text(file, edited, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

bool file_get_files(const SettingsFile *file, sd_bus_message *m, Error **ret_error)
{
    g_auto(GStrv) files = settings_files(file->path);
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "(ss)");
    for (size_t i = 0; r >= 0 && files[i]; i++) {
        g_autofree char *text = settings_read_text(files[i], ret_error);
        if (!text)
            return false;
        r = sd_bus_message_append(reply, "(ss)", files[i], text);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, file->path, "the files cannot be sent");
}

bool file_read_texts(sd_bus_message *m, const char **ret_expected, const char **ret_text, Error **ret_error)
{
    if (sd_bus_message_read(m, "ss", ret_expected, ret_text) < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "the arguments cannot be read");
    if (strlen(*ret_expected) > SETTINGS_FILE_MAX || strlen(*ret_text) > SETTINGS_FILE_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "a settings file has at most %u bytes", SETTINGS_FILE_MAX);
    return true;
}

bool file_set_file(const SettingsFile *file, sd_bus_message *m, Error **ret_error)
{
    const char *expected, *text;
    if (!file_read_texts(m, &expected, &text, ret_error))
        return false;
    g_autofree char *present = settings_read_text(file->path, ret_error);
    if (!present)
        return false;
    if (!g_str_equal(present, expected))
        return error_set(ret_error, ERROR_BUSY, file->path, "Look at the new text and edit again", "somebody else has changed it meanwhile");
    /* No change to it, but its checks, which know that a drop-in may have what the file lacks. */
    g_autofree char *checked = settings_edit(file->schema, text, NULL, 0, file->path, ret_error);
    if (!checked || !write_text(file, text, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

/* The file's folder of drop-ins, files only. */
static void delete_drop_ins(const char *settings)
{
    g_autofree char *path = g_strconcat(settings, ".d", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".conf")) {
            g_autofree char *file = g_build_filename(path, name, NULL);
            (void) unlink(file);
        }
    (void) rmdir(path);
}

bool settings_delete(const char *path, Error **ret_error)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_errno(ret_error, errno, path, "it cannot be deleted");
    delete_drop_ins(path);
    return true;
}
