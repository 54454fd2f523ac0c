/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Execute: a program that the guest agent runs in the guest, as the agent's user, which is root as a rule, and how it ended.
 *
 * The agent says nothing by itself: it is asked again and again, ever more seldom, while the guest runs and is not frozen. Nothing ends a program
 * that has begun but the guest: who does not wait any more leaves it there.
 *
 * All that is told of it is the guest's, and nobody can tell whether it is true. What vmd holds at a time for one VM is bounded by AGENT_LINE_MAX, whoever
 * lies: the line as it comes (at most twice that, as the buffer grows), its tree, and what is decoded from that for the caller, of three quarters. */

#include "vm.h"

#define EXECUTE_INPUT_MAX (512U * 1024U)
#define EXECUTE_WORDS_MAX (256U * 1024U) /* of command and environment, all together */

typedef struct ExecuteWish {
    char **command;     /* the first word: a path, or what is found in the agent's PATH */
    char **environment; /* "NAME=VALUE": all that it has; NULL: what the agent has */
    const void *input;
    size_t input_size;
    uint64_t timeout;   /* µs; USEC_INFINITY: none */
    const char *caller;
} ExecuteWish;

typedef struct ExecuteResult {
    bool killed;
    int64_t status;     /* of its exit, or (killed) the signal */
    struct {
        const void *data;
        size_t size;
        bool truncated; /* the agent has kept no more of it */
    } output, errors;
} ExecuteResult;

/* Exactly once, and not from within vm_execute(); the result is borrowed. TIMED_OUT, LIMIT_REACHED (its output is more than AGENT_LINE_MAX takes), GUEST_UNRESPONSIVE,
 * UNSUPPORTED (the agent may not), FAILED (it cannot), NOT_RUNNING. */
typedef void (*ExecuteDone)(const ExecuteResult *result, const Error *error, void *userdata);

bool vm_execute(VM *vm, const ExecuteWish *wish, ExecuteDone done, void *userdata, Error **ret_error);
