/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child: a short-lived process that answers one question and is trusted with nothing.
 *
 * It has a session and process group of its own, /dev/null as stdin, stdout and stderr on a pipe of which
 * the last CHILD_OUTPUT_MAX bytes are kept, no other descriptors but the one given, no_new_privs, no core
 * dumps, a time limit, and, when we are root, another uid without groups and capabilities. It dies with us.
 *
 * It is watched from the event loop and nothing here waits for it, not even for its death: one that hangs in
 * the kernel is reported and left for the event loop to reap when it ends. Belongs to whoever made it;
 * child_free() kills it, may be called from the callback, and then nothing is called any more. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <glib.h>

#define CHILD_OUTPUT_MAX 4096U
#define CHILD_FD 3 /* where ChildOptions.fd is in the child */
#define CHILD_NOTES 256U

#define UNPRIVILEGED_ID 65534U /* uid and gid of "nobody" */

typedef struct Child Child;

typedef struct ChildOptions {
    const char *const *argv; /* a program, by path; or NULL, and then */
    int (*run)(void *notes); /* what the fork runs itself; only async-signal-safe calls; the exit status */
    uid_t uid;
    gid_t gid;
    int fd;              /* -1: none */
    uint64_t memory_max; /* bytes of address space, 0: no limit */
    uint64_t timeout_usec;
} ChildOptions;

typedef struct ChildEnd {
    bool timed_out;          /* and was killed */
    bool unkillable;         /* and is still there */
    bool not_executed;       /* of a TreeChild: its program did not run, and `output` says why */
    int failed;              /* errno of what failed before the program ran, 0: nothing */
    const char *failed_step; /* what that was: "execute it" */
    int code;                /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int status;              /* exit status or signal */
    const char *output;
    size_t output_length;
} ChildEnd;

typedef void (*ChildEnded)(Child *child, const ChildEnd *end, void *userdata);

/* Starts it. Negative errno: there is no child and nothing will be called. */
int child_new(sd_event *event, const ChildOptions *options, ChildEnded ended, void *userdata, Child **ret);
void child_free(Child *child);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Child, child_free)

/* Kills it with its process group; `ended` follows. */
void child_kill(Child *child);

pid_t child_pid(const Child *child);

/* CHILD_NOTES bytes that the parent and options.run share. */
const void *child_notes(const Child *child);
