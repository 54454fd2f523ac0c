/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers: the programs that work for a VM beside its QEMU, in its scope: which ones an instance has, and what becomes of them.
 *
 * Each is the child of a vmd-guard of its own (guard/helper.h), which shuts it into a jail under a uid that nobody else has, and ends with
 * it when the VM's guard ends: so nothing here has to be done at the end of a VM, and no helper can hold it up. One that
 * ends before takes nobody along: the guest goes on without what it did, the journal says so, and the property Helpers.
 * After a start no helper is started again, since QEMU would not speak to it.
 *
 * What kinds there are stands in a table; what one is for is known to the file of its kind (tpm.c), which adds it while the VM's files are
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
    _HELPER_KIND_MAX,
} HelperKind;

void helpers_free(Helpers *helpers); /* kills nothing */

/* A new one, which is started when helpers_start() is called. `program` is a path. */
Helper *helpers_add(Instance *instance, HelperKind kind, const char *program);
void helper_add_argument(Helper *helper, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* It gets this descriptor under its number, and nobody else keeps it. Takes it. */
void helper_add_fd(Helper *helper, int fd);
/* A folder below vmd's state that is its own: what it may write to, and the largest file that it may make there. */
void helper_set_folder(Helper *helper, const char *path, uint64_t file_size);

/* `error` NULL: all have been born, which says nothing about how they fare. */
typedef void (*HelpersStarted)(const Error *error, void *userdata);

/* The VM's guard is there; `in_place`: in the cgroup of the scope. `started` comes once unless helpers_free() is first, perhaps before
 * this returns. What is born later than that is killed. */
void helpers_start(Helpers *helpers, bool in_place, HelpersStarted started, void *userdata);

/* Where they are not in place: their guards are in the scope now, and have them executed. */
void helpers_go(Helpers *helpers);

/* Appends the PIDs of their guards to `pids` (pid_t). */
void helpers_append_guards(const Helpers *helpers, GArray *pids);

/* Why one has failed, "swtpm exited with 1: ...", a new string; NULL where none has. One that left in peace was left alone first. */
char *helpers_why_failed(const Helpers *helpers);

/* Whether all are still there; else ERROR_UNSUPPORTED, since a QEMU that has lost one ends where its machine is reset, and cannot write
 * down what it does not have. */
bool helpers_check_whole(const Helpers *helpers, const char *thing, Error **ret_error);

/* One that is there or was, for whoever shows it. `pid` 0 and `message`: it has ended. */
typedef struct HelperView {
    const char *name;    /* of its kind, "tpm" */
    pid_t pid;
    const char *message; /* "" while it runs */
} HelperView;
GArray *helpers_view(const Helpers *helpers); /* HelperView; valid while nothing ends */

/* For the record: what helpers_recover() finds them by, and watches again. */
char *helpers_record(const Helpers *helpers);
void helpers_recover(Instance *instance, const char *record);
