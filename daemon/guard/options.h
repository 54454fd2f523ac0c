/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Options: the guard's command line, as guard.h describes it, parsed once at the start. The strings point
 * into argv. Descriptors are checked to be open and are made FD_CLOEXEC, so that QEMU does not get them. */

#include "guard.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OPTIONS_GROUPS_MAX 32
#define OPTIONS_NO_ID ((uint32_t) -1)

#define OPTIONS_BINDS_MAX 64

/* A path of the host that QEMU sees in its jail. */
typedef struct OptionBind {
    const char *path;
    bool writable;
} OptionBind;

#define OPTIONS_DEVICES_MAX 32

/* What QEMU reads in GUARD_TLS, where its display is offered on a network; all of them or none. */
#define OPTIONS_TLS_MAX GUARD_TLS_MAX
extern const char *const options_tls_names[OPTIONS_TLS_MAX];

typedef struct Options {
    const char *name;
    int status;
    int qmp;
    int console;
    int console_listen;
    int console_log;
    int go;
    uint64_t log_size;
    uint64_t press_interval_usec;
    uint32_t uid, gid;
    gid_t groups[OPTIONS_GROUPS_MAX];
    unsigned n_groups;
    uint32_t guard_uid, guard_gid;
    bool filter, jail;
    bool helper; /* a parent of something else than QEMU: helper.h */
    int life;
    bool probe;
    const char *root; /* where the programs come from; NULL: the host's own root */
    const char *own;
    uint64_t file_size;
    const char *tree; /* a shared folder: share-tree.h */
    int tree_fd;
    bool tree_read_only;
    uint32_t owner_uid, owner_gid;
    gid_t owner_groups[OPTIONS_GROUPS_MAX];
    unsigned n_owner_groups;
    OptionBind binds[OPTIONS_BINDS_MAX];
    unsigned n_binds;
    const char *devices[OPTIONS_DEVICES_MAX];
    unsigned n_devices;
    uint64_t locked_memory;
    int tls[OPTIONS_TLS_MAX]; /* in the order of options_tls_names; -1: none */
    char **qemu; /* QEMU's argv, or the helper's */
} Options;

/* False when the command line is wrong, which has been said on stderr then. */
bool options_parse(Options *options, int argc, char **argv);
