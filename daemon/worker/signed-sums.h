/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SignedSums: the checksum of a file on a web server, from the list that its makers publish, when that is signed by a key that the caller has: list
 * and signature are downloaded (download.h), and the one checked by the other (signature.h). Belongs to whoever made it. */

#include "download.h"

#define KEYRING_SIZE_MAX (1024 * 1024)

typedef struct SignedSums SignedSums;

/* Once, unless it is freed before: a checksum or an Error. The SignedSums is the callee's to free. */
typedef void (*SignedSumsDone)(SignedSums *sums, const char *sum, const Error *error, void *userdata);

typedef struct SignedSumsSpec {
    const char *url;             /* of the file */
    const char *list, *signature; /* URLs */
    const char *proxy;           /* NULL: none */
    int keyring;                 /* a memfd, which is borrowed */
    const char *unit;            /* "vmd-job-3.service"; others are named after it */
} SignedSumsSpec;

/* NULL and an Error: nothing was begun. */
SignedSums *signed_sums_start(sd_event *event, Scopes *scopes, bool user, const SignedSumsSpec *spec, SignedSumsDone done, void *userdata,
    Error **ret_error);

/* Ends it, done or not. NULL is fine. */
void signed_sums_free(SignedSums *sums);
