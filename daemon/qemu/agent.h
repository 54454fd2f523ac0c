/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Agent: one connection to the QEMU guest agent in a guest, asynchronous.
 *
 * Made from a stream socket that QEMU's chardev is behind; whether anybody in the guest reads it cannot be seen from here.
 * Calls are dealt with one after the other, and each is answered exactly once: with a result, with the agent's error, or with
 * an Error of ours. The agent's protocol has no ids, so each call is introduced by guest-sync-delimited with a number of its
 * own: whatever arrives before that number is thrown away, and the command is sent only to an agent that has answered with it.
 * So nothing that comes late is taken for the answer to something else, and nothing is begun by an agent that wakes up when
 * nobody waits any more, but for a command whose time was over between the two.
 *
 * All that arrives is the guest's, and hostile: what is read for one call is bounded, an answer as a line of QMP is
 * (qmp-message.h). While there is no call nothing is read at all: a guest that talks without end fills its own port.
 * Nothing here blocks.
 *
 * Belongs to whoever made it (vm/guest/guest.c). agent_free() may be called from any of its callbacks; pending calls are then dropped
 * without an answer. Knows nothing of VMs. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "error.h"

#define AGENT_LINE_MAX (4U * 1024U * 1024U)  /* an answer */
#define AGENT_REST_MAX (64U * 1024U * 1024U) /* thrown away of one that is longer, until it ends */
#define AGENT_NOISE_MAX (8U * 1024U * 1024U) /* thrown away before the number comes */
#define AGENT_CALL_MAX (1024U * 1024U)       /* a command with its arguments */
#define AGENT_CALLS_MAX 64U                  /* that wait */

typedef struct Agent Agent;

typedef struct AgentHandlers {
    /* It has answered, for the first time or after it had not; or does not answer any more. */
    void (*answers)(Agent *agent, bool answers, void *userdata);
    /* The connection has ended; comes once and last. */
    void (*closed)(Agent *agent, void *userdata);
} AgentHandlers;

/* Either result (borrowed) or error (borrowed) is set. Codes: UNSUPPORTED, the agent has no such command or may not do it; FAILED,
 * it said why, and `cause` has at most 1 KiB of that, fit to be shown; LIMIT_REACHED, its answer is longer than AGENT_LINE_MAX;
 * GUEST_UNRESPONSIVE, it did not answer, or not as an agent does. `thing` is the command. */
typedef void (*AgentReply)(Agent *agent, const json_t *result, const Error *error, void *userdata);

/* Takes `fd`, which must not block, in every case. Returns a negative errno. `handlers` must outlive the Agent; each of them
 * may be NULL. */
int agent_new(sd_event *event, int fd, const AgentHandlers *handlers, void *userdata, Agent **ret);
void agent_free(Agent *agent);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

/* Ends the connection because nobody in the guest reads it any more: what is pending is answered, `closed` does not come. */
void agent_close(Agent *agent);

bool agent_answers(const Agent *agent);

/* `arguments` is taken (stolen) in every case and may be NULL. `timeout_usec` is all that it may take, the wait for earlier calls
 * included. A negative errno means that nothing was begun and `reply` is not called: -ENOTCONN after the end, -ENOBUFS when too
 * many wait, -EINVAL when `arguments` is no JSON or too large. */
int agent_call(Agent *agent, const char *command, json_t *arguments, uint64_t timeout_usec, AgentReply reply, void *userdata);
