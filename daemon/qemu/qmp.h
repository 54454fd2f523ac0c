/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Qmp: one connection to a QEMU's monitor, asynchronous.
 *
 * Made from a connected stream socket; reads the greeting, negotiates capabilities, then says ready.
 * Calls may be made at once, before ready too; they are sent without waiting for the greeting and are
 * answered in order, each exactly once: with a result, with QEMU's error, or, when the connection ends or the
 * caller's time is over, with an Error of ours.
 *
 * What arrives is hostile: a line is at most QMP_LINE_MAX bytes, its cost is bounded (qmp-message.h), an
 * answer that nobody asked for or a line that is no QMP ends the connection. (But a few answers to an earlier
 * connection, and before the greeting events for it, are passed over: a QEMU that was busy with a command when
 * its caller went away gives them to the next one.) Nothing here blocks: what the socket does not take is
 * queued, to at most QMP_QUEUE_MAX bytes.
 *
 * Belongs to whoever made it. qmp_free() may be called from any of its callbacks; pending calls are then
 * dropped without an answer. Knows nothing of VMs. */

#include <jansson.h>
#include <systemd/sd-event.h>

#include "error.h"

#define QMP_LINE_MAX (4U * 1024U * 1024U)
#define QMP_QUEUE_MAX (1024U * 1024U)

typedef struct Qmp Qmp;

typedef struct QmpHandlers {
    /* Capabilities are negotiated; `version` is the greeting's package-less "7.2.1". */
    void (*ready)(Qmp *qmp, const char *version, void *userdata);
    /* An event; `data` is its data object, borrowed, or NULL. */
    void (*event)(Qmp *qmp, const char *name, const json_t *data, void *userdata);
    /* The connection has ended; comes once and last. `error` is NULL at an ordinary end of file. */
    void (*closed)(Qmp *qmp, const Error *error, void *userdata);
} QmpHandlers;

/* The answer to a call: either result (borrowed) or error (borrowed) is set. An error of QEMU has the
 * code ERROR_QEMU_FAILED, `thing` the command and `cause` QEMU's own words, at most 1 KiB of them and fit to
 * be shown. An integer above INT64_MAX comes as the negative one with the same bits: cast to uint64_t. */
typedef void (*QmpReply)(Qmp *qmp, const json_t *result, const Error *error, void *userdata);

/* Takes `fd` in every case. Returns a negative errno. `handlers` must outlive the Qmp. */
int qmp_new(sd_event *event, int fd, const QmpHandlers *handlers, void *userdata, Qmp **ret);
void qmp_free(Qmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

bool qmp_is_ready(const Qmp *qmp);

/* No answer reaches `userdata` any more. */
void qmp_forget(Qmp *qmp, void *userdata);

/* Sends a command. `arguments` is taken (stolen) in every case and may be NULL. `fd` -1, or a descriptor
 * that goes along as SCM_RIGHTS (duplicated here; the caller keeps its own), as getfd and add-fd want it.
 * `timeout_usec` 0: none. `reply` may be NULL where the answer does not matter. A negative errno means
 * that nothing was sent and `reply` is not called: -ENOTCONN after the end, -ENOBUFS when too much is
 * queued or unanswered, -EINVAL when `arguments` is no JSON. */
int qmp_call(Qmp *qmp, const char *command, json_t *arguments, int fd, uint64_t timeout_usec, QmpReply reply,
        void *userdata);
