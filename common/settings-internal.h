/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a Settings is made of, shared by its reader (settings-parse.c) and its face (settings.c) only.
 *
 * Values point into the texts of the files, which the Settings keeps: reading a file costs few
 * allocations. Sections and entries stand in the order in which they were first seen. */

#include "settings.h"

typedef struct SettingsSource {
    char *name; /* the file, for errors */
    char *text; /* its text, cut into values */
} SettingsSource;

typedef struct SettingsGroup {
    const char *name; /* "Disk root" */
    const SettingSection *schema;
    unsigned source, line;
    char *origin; /* made when first asked for */
} SettingsGroup;

typedef struct SettingsEntry {
    const SettingKey *schema;
    const char *key;
    unsigned section; /* index */
    unsigned source, line;
    bool set;         /* false after "Key=", which takes back what an earlier file said */
    uint64_t number;  /* SETTING_BOOL, SETTING_UINT, SETTING_SIZE, SETTING_DURATION */
    uint64_t maximum; /* of a key that is ranged; 0: none is set */
    const char *text; /* all others but SETTING_WORDS; of repeated lines the last */
    GPtrArray *list;  /* of SETTING_WORDS and SETTING_PROPERTY, NULL-terminated */
    char *origin;     /* made when first asked for */
} SettingsEntry;

struct Settings {
    const Schema *schema;
    GArray *sources;
    GArray *sections;
    GArray *entries;
};

Settings *settings_new(const Schema *schema);
SettingsEntry *settings_entry_find(const Settings *settings, const char *section, const char *key);
SettingsEntry *settings_entry_find_in(const Settings *settings, unsigned section, const char *key);
int settings_section_index(const Settings *settings, const char *section); /* -1: not there */

/* Merges one text over what is there. Takes `text`, which is NUL-terminated. */
bool settings_merge(Settings *settings, char *text, size_t length, const char *origin, Error **ret_error);

/* Whether each section has the keys that it needs. With `before`, a section that lacked them there may
 * lack them still: a drop-in has them. */
bool settings_check_required(const Settings *settings, const Settings *before, Error **ret_error);

/* The section's schema row; says in the Error what sections there are. `ret_device` points into `section`. */
const SettingSection *settings_section_check(
        const Schema *all, const char *section, const char *thing, const char **ret_device, Error **ret_error);

/* The key's row in a section of that kind; says in the Error which key is near. */
const SettingKey *settings_key_check(
        const Schema *all, const char *kind, const char *key, const char *thing, Error **ret_error);

/* Whether the key may stand on several lines of one file. */
bool settings_key_repeats(const SettingKey *schema, const char *key);
