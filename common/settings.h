/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Settings: what a file of one schema (.vm, .net) and its drop-ins say, read, checked and merged.
 *
 * A Settings is immutable once loaded, belongs to whoever got it, and holds the values only; the daemon
 * keeps none for VMs that do not run, since reading a file again costs less than remembering it 500
 * times. settings_edit_*() changes the *text* of a file, so that comments, order and blank lines survive.
 *
 * Files are hostile until checked: at most SETTINGS_FILE_MAX bytes, regular, UTF-8, opened once with
 * O_NOFOLLOW on the last component, O_NONBLOCK and fstat'ed after opening. A parse error names file,
 * line, section and key and what would be allowed, as "FILE:LINE". The syntax: settings-text.h. */

#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "schema.h"

#define SETTINGS_FILE_MAX (256U * 1024U)
#define SETTINGS_SECTIONS_MAX 256U

typedef struct Settings Settings;

/* Reads PATH and PATH.d/ *.conf (sorted by name; later wins; a drop-in can add sections). An empty value
 * takes back what an earlier file said; lines of a key that may repeat add to those of earlier files.
 * A file that is not there is ERROR_FAILED, all else ERROR_INVALID_SETTINGS. */
Settings *settings_load(const Schema *schema, const char *path, Error **ret_error);

/* The file's own text, with the same checks as settings_load() but not parsed. The caller frees. */
char *settings_read_text(const char *path, Error **ret_error);

/* PATH and the drop-ins over it that are there now, in the order in which they are read; g_strfreev. */
char **settings_files(const char *path);

/* The same from text that is not in a file yet; `origin` stands for the file's name in errors. */
Settings *settings_parse(const Schema *schema, const char *text, size_t length, const char *origin, Error **ret_error);

/* The same, but a required key may be lacking, since a drop-in may have it. */
Settings *settings_parse_partial(
        const Schema *schema, const char *text, size_t length, const char *origin, Error **ret_error);

void settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* Values. `section` is the full name as in the file: "VM", "Disk root". A key that is not set answers
 * with the schema's default, and where there is none with false, 0 or NULL. Asking for a key that the
 * schema does not have, or with the wrong type, is a bug and aborts. What is returned belongs to the
 * Settings.
 *
 * number: SETTING_UINT, SETTING_SIZE, SETTING_DURATION. string: SETTING_STRING, SETTING_PATH, SETTING_SOURCE, SETTING_ENUM,
 * SETTING_UUID, and SETTING_PROPERTY, whose last line it is. words: SETTING_WORDS, and of SETTING_PROPERTY
 * all lines, as scope_property_append() takes them. */
bool settings_get_bool(const Settings *settings, const char *section, const char *key);
uint64_t settings_get_number(const Settings *settings, const char *section, const char *key);
/* Of a key that is ranged, what stands behind the "/"; 0 where nothing does. */
uint64_t settings_get_maximum(const Settings *settings, const char *section, const char *key);
const char *settings_get_string(const Settings *settings, const char *section, const char *key);
const char *const *settings_get_words(const Settings *settings, const char *section, const char *key);

/* Whether the file itself sets it (a default does not count), and where: "/etc/vmd/web.vm:7", NULL when
 * it does not. */
bool settings_has(const Settings *settings, const char *section, const char *key);
const char *settings_origin(const Settings *settings, const char *section, const char *key);

/* Where the section begins. */
const char *settings_section_origin(const Settings *settings, const char *section);

/* The full names of all sections of one kind ("Disk" gives "Disk root", "Disk data"), in file order,
 * NULL-terminated. NULL for `kind`: all of them. The caller frees the array only (g_free). */
const char **settings_sections(const Settings *settings, const char *kind);

/* The keys set in one section, in file order, NULL-terminated; freed with g_free. */
const char **settings_keys(const Settings *settings, const char *section);

/* A canonical text of all values that are set. Without those that are live, equal texts mean that a VM would run the same. */
char *settings_canonical(const Settings *settings, bool live);

/* What the name of a section means: "Disk root" is kind "Disk", device "root" (NULL when unnamed). Both
 * new strings, the caller frees. False, and an Error, when the schema has no such section. */
bool settings_section_split(const Schema *all, const char *section, char **ret_kind, char **ret_device, Error **ret_error);

/* One change to a file's text. `values` NULL, or empty, removes the key; key NULL removes the whole section.
 * What is not there need not be removed, but its name must be one of the schema. */
typedef struct SettingsChange {
    const char *section;
    const char *key;
    /* NULL-terminated; several for a key that may repeat, a line each. */
    const char *const *values;
} SettingsChange;

/* The text with the changes made: comments, blank lines and order stay; a new key goes to the end of its
 * section, a new section to the end of the file. The result is parsed before it is returned, so it is
 * always valid; only a required key may be lacking, when it was before (a drop-in has it). `text` may be
 * empty, and may be broken, when the changes mend it. */
char *settings_edit(const Schema *schema, const char *text, const SettingsChange *changes, size_t n_changes,
        const char *origin, Error **ret_error);

/* Writes text to PATH so that after a crash either the old or the new file is there, whole: temporary
 * file in the same folder, fsync, rename (or, with `exclusive`, link, which fails with EEXIST when there
 * is one already), fsync of the folder. Returns a negative errno. */
int settings_write(const char *path, const char *text, mode_t mode, bool exclusive);
