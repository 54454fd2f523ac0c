/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Client: one run of vmctl, from its command line to its exit code.
 *
 * main() fills it from the command line (option.h), finds the verb (verb.h) and calls its handler, which
 * connects, calls, prints and returns an exit code. vmctl holds no logic of its own: all that it does is a
 * call of org.vmd1, of org.freedesktop.systemd1, or a look into the journal. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "cleanup.h"

#define BUS_NAME "org.vmd1"
#define MANAGER_PATH "/org/vmd1"
#define MANAGER_INTERFACE "org.vmd1.Manager"
#define VM_INTERFACE "org.vmd1.VM"
#define NETWORK_INTERFACE "org.vmd1.Network"
#define POOL_INTERFACE "org.vmd1.Pool"
#define JOB_INTERFACE "org.vmd1.Job"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"

#define bus_error_cleanup __attribute__((cleanup(sd_bus_error_free)))

/* What vmctl exits with; stands in --help and in vmctl(1). */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_RUNNING = 3, /* of `status`, as systemctl has it */
    EXIT_NO_SUCH_VM = 4, /* network, pool or volume */
    EXIT_NOT_AUTHORIZED = 5,
    EXIT_INTERRUPTED = 130,
    EXIT_NOT_EXECUTED = 255, /* exec, ssh, cp: what failed was not the command's, as ssh has it */
};

typedef enum JsonMode {
    JSON_MODE_OFF,
    JSON_MODE_SHORT,
    JSON_MODE_PRETTY,
} JsonMode;

/* One --cpus=2 or -p 'VM.CPUs=2', in the order of the command line. */
typedef struct SettingArgument {
    const struct SettingKey *key; /* NULL: `value` is a whole "SECTION.KEY=VALUE" */
    const char *value;
} SettingArgument;

struct Verb;

typedef struct Client {
    const struct Verb *verb;
    const char *group; /* "network" where only that was given: the verb is then what it does by default */
    char **arguments;  /* what stands after the verb; NULL-terminated, borrowed from argv */
    size_t n_arguments;

    sd_bus *bus; /* connect.h */

    /* Options: each has a row in option.c, which says what it means and which verbs take it. */
    bool help, version;
    bool user, system;
    const char *host, *machine;
    const char *json;
    bool no_pager, no_legend, quiet, no_ask_password;
    bool no_block, notify, now, attach, wait, force, yes, with_volumes;
    bool all, value, settings, full, follow, console_log, reverse;
    bool no_replay;
    const char *state, *lines, *output, *boot, *since, *until;
    GPtrArray *properties; /* show: names */
    GArray *changes;       /* create, run, set: SettingArgument */
    GPtrArray *cdroms;
    const char *wait_for; /* start */
    const char *wait_time, *mac, *port_name; /* ip, tap */
    GPtrArray *forwards;
    const char *size, *format, *preallocation, *from, *image, *ova, *os, *sha256, *sha512, *max_size, *proxy, *keyring, *sums, *signature; /* volumes */
    bool overlay, compress, shrink, copy, disks_only;
    const char *name, *as, *pool, *bandwidth, *checkpoint; /* backup, restore */
    bool pull, read_only;
    bool full_screen, until_eof; /* view */
    bool stdio; /* usb redirect */
    const char *viewer, *display_type, *listen, *head;
    const char *lifetime, *address, *ca; /* invite */
    const char *layout, *interval; /* type */
    const char *delay, *iterations, *sort; /* top */
    bool batch;
    const char *description, *quiesce;
    const char *timeout; /* exec, guest */
    bool no_input, crypted, replace;
    GPtrArray *ssh_options; /* ssh, cp */
    const char *identity;
    bool recursive, pipe;
} Client;

JsonMode client_json(const Client *client);

/* Whether the bus is one of this machine: paths and terminals mean the same on both ends. */
bool client_is_local(const Client *client);

/* " --user" where this run has it, for commands that a hint shows. */
const char *client_hint_options(const Client *client);
