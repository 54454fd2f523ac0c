/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Options: the command line's own table and parser. An option belongs to all verbs or to those that its
 * row names; verbs with VERB_SETTINGS also take one option for each row of the schema that has one.
 * Options and arguments may be mixed; "--" ends the options. */

#include "client.h"
#include "verb.h"

struct SettingKey;

typedef enum OptionKind {
    OPTION_FLAG,     /* bool */
    OPTION_STRING,   /* const char * */
    OPTION_OPTIONAL, /* const char *, "" where --option has no "=VALUE" */
    OPTION_NAMES,    /* GPtrArray *, comma-separated or repeated */
    OPTION_CHANGE,   /* -p of create, run and set: goes into Client.changes */
    OPTION_CDROM,    /* GPtrArray * of paths */
    OPTION_WORDS,    /* GPtrArray *, repeated */
    OPTION_VOLUME,   /* const char *, a volume */
    OPTION_FILE,     /* const char *, a file */
} OptionKind;

typedef struct Option {
    const char *verbs; /* NULL: all; else "create,run,network create" */
    const char *name;  /* without the dashes */
    char letter;       /* or 0 */
    OptionKind kind;
    size_t offset; /* in Client */
    const char *metavar;
    const char *words;   /* what it may be, "pretty|short|off", or NULL */
    const char *summary; /* NULL: not in --help */
} Option;

extern const Option options[]; /* ends with a row whose name is NULL */

bool option_is_for(const Option *option, const Verb *verb);

/* The schema's row behind `--NAME` (`length` bytes of it) for a verb with VERB_SETTINGS, or NULL. */
const struct SettingKey *option_find_setting(const Verb *verb, const char *name, size_t length);

/* Reads argv into the Client, the verb included. Returns 0, or EXIT_USAGE when it has said what is wrong. */
int option_parse(Client *client, int argc, char **argv);

/* Which of `candidates` (NULL-terminated) `word` was probably meant to be, or NULL. */
const char *option_nearest(const char *word, const char *const *candidates);
