/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Verbs: the one table behind dispatch, --help and the completions. To add a verb, write its handler in a
 * verb-*.c and add a row in verb.c; options of its own go into option.c.
 *
 * A verb of two words, "network create", belongs to the group "network". A group is there as soon as a row is; alone
 * it is its "list". */

#include <stddef.h>

#include "client.h"
#include "kind.h"

#define VERB_ANY SIZE_MAX

typedef enum VerbFlags {
    VERB_HIDDEN = 1 << 0,
    VERB_NAMES = 1 << 1,    /* its arguments are names of objects of its kind */
    VERB_SETTINGS = 1 << 2, /* takes the options of the settings schema */
    VERB_ACTS = 1 << 3,     /* may need authorisation: a polkit agent is started on a terminal */
    VERB_VOLUMES = 1 << 4,  /* its arguments are volumes */
    VERB_FILES = 1 << 5,    /* or files of the caller's */
    VERB_COMMAND = 1 << 6,  /* what follows the first one is a command, with options of its own */
} VerbFlags;

typedef struct Verb {
    const char *name;
    size_t min, max; /* number of arguments */
    VerbFlags flags;
    const char *synopsis; /* its arguments, for --help */
    const char *summary;
    int (*handler)(Client *client); /* returns an exit code */
    const ObjectKind *kind;         /* what it is about; NULL: VMs */
} Verb;

/* All verbs in the order of --help; ends with a row whose name is NULL. A row without a handler is the
 * heading of those that follow. */
extern const Verb verbs[];

const Verb *verb_find(const char *name);

/* Verb and group from words of a command line, of which `second` may be NULL. Takes the second one only after a group:
 * says so in *ret_n, 1 or 2. Where it is a group alone *ret_group is its name. NULL: there is no such verb. */
const Verb *verb_find_words(const char *first, const char *second, const char **ret_group, unsigned *ret_n);

/* What it is about. */
const ObjectKind *verb_kind(const Verb *verb);

/* The rows of the schema whose options the verb takes, or NULL. */
const struct SettingKey *verb_setting_keys(const Verb *verb);

/* The name of the group that `word` is, as the table has it, or NULL. */
const char *verb_group(const char *word);

/* "network" of "network create" (a new string, the caller frees), NULL of others. */
char *verb_group_of(const Verb *verb);

/* The verb, or group, that was probably meant, or NULL. `name` may have two words. */
const char *verb_suggest(const char *name);

/* Prints the help of everything, or of one verb or one group. */
int verb_help(const Client *client, const Verb *verb, const char *group);

int verb_create(Client *client);
int verb_run(Client *client);
int verb_set(Client *client);
int verb_attach(Client *client);
int verb_detach(Client *client);
int verb_share_add(Client *client);
int verb_share_remove(Client *client);
int verb_share_list(Client *client);
int verb_insert(Client *client);
int verb_eject(Client *client);
int verb_act(Client *client); /* those of the table in action.c */
int verb_list(Client *client);
int verb_jobs(Client *client);
int verb_cancel(Client *client);
int verb_qemu_list(Client *client);
int verb_status(Client *client);
int verb_show(Client *client);
int verb_cat(Client *client);
int verb_edit(Client *client);
int verb_invite(Client *client);
int verb_ip(Client *client);
int verb_leases(Client *client);
int verb_ports(Client *client);
int verb_volume_create(Client *client);
int verb_volume_clone(Client *client);
int verb_volume_resize(Client *client);
int verb_volume_rename(Client *client);
int verb_volume_delete(Client *client);
int verb_volume_wipe(Client *client);
int verb_volume_download(Client *client);
int verb_volume_upload(Client *client);
int verb_volume_list(Client *client);
int verb_import(Client *client);
int verb_image_pull(Client *client);
int verb_volume_show(Client *client);
int verb_tap(Client *client);
int verb_top(Client *client);
int verb_console(Client *client);
int verb_exec(Client *client);
int verb_ssh(Client *client);
int verb_cp(Client *client);
int verb_ssh_connect(Client *client);
int verb_guest_info(Client *client);
int verb_guest_freeze(Client *client);
int verb_guest_thaw(Client *client);
int verb_guest_trim(Client *client);
int verb_guest_set_password(Client *client);
int verb_guest_add_ssh_key(Client *client);
int verb_view(Client *client);
int verb_disconnect(Client *client);
int verb_send_keys(Client *client);
int verb_send_pointer(Client *client);
int verb_type(Client *client);
int verb_screenshot(Client *client);
int verb_usb_attach(Client *client);
int verb_usb_detach(Client *client);
int verb_usb_redirect(Client *client);
int verb_usb_list(Client *client);
int verb_log(Client *client);
int verb_enable(Client *client);
int verb_disable(Client *client);
int verb_backup(Client *client);
int verb_backups(Client *client);
int verb_restore(Client *client);
int verb_snapshot_create(Client *client);
int verb_snapshot_revert(Client *client);
int verb_snapshot_delete(Client *client);
int verb_snapshot_show(Client *client);
int verb_snapshot_list(Client *client);
int verb_explain(Client *client);
int verb_doctor(Client *client);
int verb_reload(Client *client);
int verb_version(Client *client);
int verb_show_help(Client *client);
int verb_complete(Client *client);
