/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers: the programs that work for a VM beside its QEMU, in its scope: which ones an instance has, and what becomes of them.
 *
 * Each is the child of a vmd-guard of its own (guard/helper.h), which shuts it into a jail under a uid that nobody else has, and ends with
 * it when the VM's guard ends: so nothing here has to be done at the end of a VM, and no helper can hold it up. One that
 * ends before takes nobody along: the guest goes on without what it did, the journal says so, and the property Helpers.
 * After a start none is started again where QEMU would not speak to it; only with a device that comes while the VM runs one more, and one for viewers
 * whenever they want it.
 *
 * What kinds there are stands in a table; what one is for is known to the file of its kind (tpm.c, share.c, screen/bridge.c), which adds it while the VM's files are
 * opened. Written into the record by instance.c. Owned by the Instance; NULL where it has none, which all functions take. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "error.h"

typedef struct Instance Instance;
typedef struct Helpers Helpers;
typedef struct Helper Helper;

/* Each has a range of uids of its own: no new one before others. */
typedef enum HelperKind {
    HELPER_TPM,
    HELPER_SHARE,
    HELPER_SPICE,
    _HELPER_KIND_MAX,
} HelperKind;

void helpers_free(Helpers *helpers); /* kills nothing */

/* A new one, which is started when helpers_start() is called. `name`: of a kind of which there can be several, which one. `program` is a path. */
Helper *helpers_add(Instance *instance, HelperKind kind, const char *name, const char *program);
void helper_add_argument(Helper *helper, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Its program is of its QEMU's tree, not the host's. */
void helper_set_of_tree(Helper *helper);
/* It gets this descriptor under its number, and nobody else keeps it. Takes it. */
void helper_add_fd(Helper *helper, int fd);
/* A folder below vmd's state that is its own: what it may write to, and the largest file that it may make there. */
void helper_set_folder(Helper *helper, const char *path, uint64_t file_size);

/* PEM files of which it has copies in GUARD_TLS (guard/guard.h), MACHINE_TLS_MAX of them. Takes them. */
void helper_set_tls(Helper *helper, const int *fds);

/* A folder of the host's that it serves the guest: it gets that one alone (guard/share-tree.h). Takes `fd`, and a reference to `groups` (gid_t). */
typedef struct HelperTree {
    const char *path;
    int fd;
    bool read_only;
    uid_t owner; /* as whom it does all; 0: as anybody */
    gid_t gid;
    GArray *groups;
} HelperTree;
void helper_set_tree(Helper *helper, const HelperTree *tree);

/* `error` NULL: all have been born, which says nothing about how they fare. */
typedef void (*HelpersStarted)(const Error *error, void *userdata);

/* The VM's guard is there; `in_place`: in the cgroup of the scope. `started` comes once unless helpers_free() is first, perhaps before
 * this returns. What is born later than that is killed. */
void helpers_start(Helpers *helpers, bool in_place, HelpersStarted started, void *userdata);

/* Where they are not in place: their guards are in the scope now, and have them executed. */
void helpers_go(Helpers *helpers);

/* One of a VM that runs. ERROR_UNSUPPORTED where none can be born into its scope. As above, and the same for helper_remove(). */
void helper_start(Helper *helper, HelpersStarted started, void *userdata);
/* Ends it and forgets it: nobody has lost anything. */
void helper_remove(Helper *helper);
bool helpers_have(const Helpers *helpers, HelperKind kind);
Helper *helpers_find(const Helpers *helpers, HelperKind kind, const char *name); /* or NULL */

/* Appends the PIDs of their guards to `pids` (pid_t). */
void helpers_append_guards(const Helpers *helpers, GArray *pids);

/* Why one has failed, "swtpm exited with 1: ...", a new string; NULL where none has. One that left in peace was left alone first. */
char *helpers_why_failed(const Helpers *helpers);

/* Whether all are still there without which QEMU ends where its machine is reset, and cannot write down what it does not have; else
 * ERROR_UNSUPPORTED. */
bool helpers_check_whole(const Helpers *helpers, const char *thing, Error **ret_error);

/* One that is there or was, for whoever shows it. `pid` 0 and `message`: it has ended. */
typedef struct HelperView {
    const char *name;    /* "tpm", "share-docs" */
    pid_t pid;
    const char *message; /* "" while it runs */
} HelperView;
GArray *helpers_view(const Helpers *helpers); /* HelperView; valid while nothing ends */

/* For the record: what helpers_recover() finds them by, and watches again. */
char *helpers_record(const Helpers *helpers);
void helpers_recover(Instance *instance, const char *record);
