/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unpack: a compressed file is unpacked by xz, gzip or zstd in a sandbox (sandbox.h) that reaches no file and no network.
 *
 * What is compressed may be made to break what unpacks it, or to become very large: the kernel stops it at the largest size that is wanted, and its
 * memory is bounded. What comes is worth nothing until the caller has looked at it. Belongs to whoever made it; knows nothing of VMs and
 * pools. */

#include "error.h"
#include "scope.h"

typedef struct Unpack Unpack;

/* Once, unless it is freed before: `error` NULL when all is there. The Unpack is the callee's to free. */
typedef void (*UnpackDone)(Unpack *unpack, const Error *error, void *userdata);
typedef void (*UnpackProgress)(Unpack *unpack, double progress, void *userdata); /* 0 to 1 */

typedef struct UnpackSpec {
    const char *name;   /* for errors, and its end says how it is packed (name_packing()) */
    int from, to;       /* regular files, which are borrowed; `to` is empty */
    uint64_t max_size;
    const char *unit;   /* "vmd-job-3.service" */
} UnpackSpec;

/* Whether there is a program for it. */
bool unpack_check(const char *name, Error **ret_error);

/* NULL and an Error: nothing was begun. */
Unpack *unpack_start(sd_event *event, Scopes *scopes, bool user, const UnpackSpec *spec, UnpackDone done, UnpackProgress progress, void *userdata,
    Error **ret_error);

/* Ends it, done or not. NULL is fine. */
void unpack_free(Unpack *unpack);
