/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Settings as they travel on the bus: a{sa{sv}}, the sections and keys of the file.
 *
 * On the way in, a value is either a string in the file's own spelling (for every type), an "as" for
 * keys that take several lines, or the typed variant of the schema; any integer type will do for a number
 * that it can hold. On the way out every value is typed. Needs sd-bus, nothing of the daemon. */

#include <systemd/sd-bus.h>

#include "settings.h"

/* Reads an a{sa{sv}} from the message into changes for settings_edit(); the values are in the file's
 * spelling. The array belongs to the caller (settings_changes_free). At most SETTINGS_SECTIONS_MAX
 * sections. An empty string value means "remove the key", a section without keys "remove the section". */
typedef struct SettingsChanges {
    SettingsChange *items;
    size_t n;
    GPtrArray *owned; /* what items point into */
} SettingsChanges;

SettingsChanges *settings_changes_read(const Schema *schema, sd_bus_message *m, Error **ret_error);

/* One section's a{sv}, as AttachDevice takes it; without keys there are no changes. */
SettingsChanges *settings_changes_read_section(
        const Schema *schema, sd_bus_message *m, const char *section, Error **ret_error);
void settings_changes_free(SettingsChanges *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SettingsChanges, settings_changes_free)

/* Appends an a{sa{sv}} with all that is set, typed. Returns a negative errno. */
int settings_append(sd_bus_message *m, const Settings *settings);
