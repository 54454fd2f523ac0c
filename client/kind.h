/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kinds of objects: what differs between VMs, networks and pools where a verb does the same with both.
 *
 * A verb is about one kind (its row in verb.c says which), and so is the run of vmctl that it is in: what
 * shares code between kinds asks client_kind(). All of this is constant; to add a kind, add a table here, a
 * setting schema in common/, and rows of verbs. */

#include "client.h"

struct Schema;

typedef struct ObjectKind {
    const char *word;  /* in messages: VM "web" */
    const char *thing; /* "3 VMs listed." */
    const char *things;
    const char *group; /* the first words of its verbs, " network"; "" for VMs */
    const char *look;  /* the command that shows how one does: " status" */
    const char *tag;   /* what the manuals' generator calls it */
    const struct Schema *schema;
    const char *const *bare; /* the sections in which -p KEY=VALUE looks, and those whose keys --help names */
    const char *example;     /* of what stands behind -p */
    const char *suffix;      /* of its files */
    const char *path;        /* its objects are below it */
    const char *interface;
    const char *stays;               /* " Images stay.": what a deletion leaves, or "" */
    const char *create, *get, *list; /* methods of the manager */
    const char *list_members;        /* what `list` answers with, "name state leader path" */
} ObjectKind;

extern const ObjectKind kind_vm, kind_network, kind_pool;

/* All of them, NULL-terminated. */
extern const ObjectKind *const kinds[];

/* What this run is about. */
const ObjectKind *client_kind(const Client *client);

/* Its object on the bus. The caller frees. */
char *kind_object(const ObjectKind *kind, const char *name);

/* What a section that an option makes is called, without its number: "disk" for --disk=, "net" for
 * --network=. */
const char *kind_device_prefix(const struct SettingKey *key);
