/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Verbs: the one table behind dispatch, --help and the completions. To add a verb, write its handler in a
 * verb-*.c and add a row in verb.c; options of its own go into option.c. */

#include <stddef.h>

#include "client.h"

#define VERB_ANY SIZE_MAX

typedef enum VerbFlags {
    VERB_HIDDEN = 1 << 0,
    VERB_NAMES = 1 << 1,    /* its arguments are names of VMs */
    VERB_SETTINGS = 1 << 2, /* takes the options of the settings schema */
    VERB_ACTS = 1 << 3,     /* may need authorisation: a polkit agent is started on a terminal */
} VerbFlags;

typedef struct Verb {
    const char *name;
    size_t min, max; /* number of arguments */
    VerbFlags flags;
    const char *synopsis; /* its arguments, for --help */
    const char *summary;
    int (*handler)(Client *client); /* returns an exit code */
} Verb;

/* All verbs in the order of --help; ends with a row whose name is NULL. A row without a handler is the
 * heading of those that follow. */
extern const Verb verbs[];

const Verb *verb_find(const char *name);

/* The verb that was probably meant, or NULL. */
const char *verb_suggest(const char *name);

/* Prints the help of everything, or of one verb. */
int verb_help(const Client *client, const Verb *verb);

int verb_create(Client *client);
int verb_run(Client *client);
int verb_set(Client *client);
int verb_act(Client *client); /* start stop kill reboot reset pause resume save delete */
int verb_list(Client *client);
int verb_jobs(Client *client);
int verb_qemu(Client *client);
int verb_status(Client *client);
int verb_show(Client *client);
int verb_cat(Client *client);
int verb_edit(Client *client);
int verb_console(Client *client);
int verb_log(Client *client);
int verb_enable(Client *client);
int verb_disable(Client *client);
int verb_explain(Client *client);
int verb_reload(Client *client);
int verb_version(Client *client);
int verb_show_help(Client *client);
int verb_complete(Client *client);
