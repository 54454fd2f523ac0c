/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Transfer: bytes that vmctl copies itself, between a volume and a file or a pipe, since it has both open: a thread copies, and meanwhile a bar is
 * shown and Ctrl-C heard.
 *
 * What breaks off is gone on with later: the half copy then has the time of change that its source has, and ends where it is right. So one
 * that the machine's end cut off, or whose source has changed, is begun anew. */

#include <sys/stat.h>

#include "client.h"

typedef struct Transfer {
    Client *client;
    const char *label;   /* "default/web.img: downloading" */
    int from, to;
    bool stream;         /* one of them is read or written from beginning to end */
    uint64_t size;       /* 0: not known */
    uint64_t done;       /* what is there already; at the end what is then */
} Transfer;

/* Negative errno; -ECANCELED: Ctrl-C. */
int transfer_run(Transfer *transfer);

/* How much of `source` is in the half copy `part`, which is emptied where nothing of it can be used. Negative errno. */
int transfer_resume(int part, const struct stat *source, uint64_t *ret_done);

/* So that transfer_resume() finds `done`. Negative errno. */
int transfer_keep(int part, const struct stat *source, uint64_t done);
