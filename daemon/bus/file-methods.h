/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* File methods: GetSettings, SetSettings, GetFiles and SetFile, which VMs and networks have alike: calls that read or change a
 * settings file. Used by the *-dbus.c of what has one. */

#include <systemd/sd-bus.h>

#include "settings.h"

typedef struct SettingsFile {
    const Schema *schema;
    char *path;
    void *object;
    /* What only the object knows of a text that settings_edit() found well-formed. */
    bool (*check)(void *object, const char *text, const char *origin, Error **ret_error);
    void (*written)(void *object);
} SettingsFile;

void settings_file_clear(SettingsFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SettingsFile, settings_file_clear)

/* Writes a file that is not there yet, from the settings that `m` has next; `thing` is what errors call it. Does not reply, and does not call
 * `written`. ERROR_EXISTS: there is such a file. */
bool file_create(const SettingsFile *file, sd_bus_message *m, const char *thing, Error **ret_error);

/* Each replies to `m`, or returns false and an Error. */
bool file_get_settings(const SettingsFile *file, sd_bus_message *m, Error **ret_error);
bool file_set_settings(const SettingsFile *file, sd_bus_message *m, Error **ret_error);
bool file_get_files(const SettingsFile *file, sd_bus_message *m, Error **ret_error);
bool file_set_file(const SettingsFile *file, sd_bus_message *m, Error **ret_error);

/* Defines method_get_settings, method_set_settings, method_get_files and method_set_file, handlers as method.h has them, of the object
 * whose SettingsFile `file_of` gives. */
#define FILE_METHODS(file_of)                                                                                          \
    FILE_METHOD(method_get_settings, file_of, file_get_settings)                                                       \
    FILE_METHOD(method_set_settings, file_of, file_set_settings)                                                       \
    FILE_METHOD(method_get_files, file_of, file_get_files)                                                             \
    FILE_METHOD(method_set_file, file_of, file_set_file)
#define FILE_METHOD(name, file_of, function)                                                                           \
    static bool name(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)               \
    {                                                                                                                  \
        g_auto(SettingsFile) file = file_of(object);                                                                   \
        return function(&file, m, ret_error);                                                                          \
    }

/* SetFile's arguments, borrowed from the message; too long ones are refused. */
bool file_read_texts(sd_bus_message *m, const char **ret_expected, const char **ret_text, Error **ret_error);

/* Deletes the file and its drop-ins; one that is gone already is no error. */
bool settings_delete(const char *path, Error **ret_error);
