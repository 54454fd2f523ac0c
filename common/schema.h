/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Schemas: every section and key that a kind of settings file may hold, a table each.
 *
 * The parser, the conversion from and to D-Bus, vmctl's options, the shell completions and the key lists
 * of vmd.vm(5), vmd.net(5) and vmd.pool(5) are all driven by these tables. To add a setting, add a row and read it where it acts
 * (docs/hacking.md). The meaning of a key never changes once released.
 *
 * The tables are constant; everything that this header returns is static and is not freed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum SettingType {
    SETTING_BOOL,     /* yes no true false on off 1 0; D-Bus b */
    SETTING_UINT,     /* decimal, min..max; D-Bus u */
    SETTING_SIZE,     /* bytes, or with K M G T (powers of 1024); D-Bus t */
    SETTING_DURATION, /* "90s", "5min 20s", a bare number is seconds, "infinity"; D-Bus t in µs */
    SETTING_STRING,   /* one line of UTF-8 without control characters; D-Bus s */
    SETTING_PATH,     /* absolute, normalised, no ".."; D-Bus s */
    SETTING_SOURCE,   /* such a path, or POOL/VOLUME (name.h); D-Bus s */
    SETTING_ENUM,     /* one of `words`; D-Bus s */
    SETTING_UUID,     /* D-Bus s */
    SETTING_WORDS,    /* shell-quoted words; repeated lines append, an empty one resets; D-Bus as */
    SETTING_PROPERTY, /* the wildcard row of [Scope]: a unit property in systemd's spelling
                       * (scope-property.h); D-Bus s, or as when it may repeat */
    _SETTING_TYPE_MAX,
} SettingType;

typedef struct SettingKey {
    const char *section; /* "Disk" for [Disk root] */
    const char *key;     /* "Source"; "*" accepts any key of the section */
    SettingType type;
    const char *default_value; /* in the file's spelling; NULL: unset (says `summary` what then holds) */
    const char *words;         /* SETTING_ENUM: "raw|qcow2" */
    uint64_t min, max;   /* of a number (a duration's in µs), and the bytes of a string; max 0: no limit */
    bool required;       /* the section is invalid without it */
    const char *unless;  /* "Type=cdrom": but not where the section has that */
    bool ranged;         /* of a number: "2/8" is allowed too, how much now and how much at most while the VM runs; D-Bus s then */
    bool live;           /* about the VM, not its machine: a change counts at once, no restart is needed for it */
    const char *option;  /* vmctl's long option without dashes, NULL: only by -p */
    const char *metavar; /* what stands after the option's "=" in --help: "BYTES", "PATH" */
    const char *summary; /* one sentence for --help, completions and the manual */
} SettingKey;

typedef struct SettingSection {
    const char *name;
    bool named; /* [Disk root]: any number, each with a name of its own */
    const char *summary;
} SettingSection;

/* All sections, all keys, in the order of the manual; both end with a row whose name is NULL. */
typedef struct Schema {
    const char *manual; /* "vmd.vm(5)" */
    const SettingSection *sections;
    const SettingKey *keys;
} Schema;

extern const Schema vm_schema;      /* NAME.vm; schema-vm.c */
extern const Schema network_schema; /* NAME.net; schema-net.c */
extern const Schema pool_schema;    /* NAME.pool; schema-pool.c */

const SettingSection *schema_find_section(const Schema *schema, const char *section);

/* The row for a key, or the section's "*" row, or NULL. */
const SettingKey *schema_find_key(const Schema *schema, const char *section, const char *key);

const char *setting_type_to_string(SettingType type);    /* "a size such as 2G", for errors */
const char *setting_type_to_signature(SettingType type); /* D-Bus, "t"; "s" for a property */
