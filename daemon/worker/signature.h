/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signature: whether a text is signed by a key of a keyring. gpgv says so, in a sandbox (sandbox.h) that reaches no file and no network, since all
 * three may be made to break it. Belongs to whoever made it; knows nothing of VMs and pools. */

#include "error.h"
#include "scope.h"

typedef struct Signature Signature;

/* Once, unless it is freed before: `error` NULL when it is signed. The Signature is the callee's to free. */
typedef void (*SignatureDone)(Signature *signature, const Error *error, void *userdata);

typedef struct SignatureSpec {
    const char *name;             /* of the text, for errors */
    int text, signature, keyring; /* memfds, which are borrowed */
    const char *unit;             /* "vmd-job-3.service" */
} SignatureSpec;

/* Whether there is a program for it. */
bool signature_check_program(Error **ret_error);

/* NULL and an Error: nothing was begun. */
Signature *signature_start(Scopes *scopes, bool user, const SignatureSpec *spec, SignatureDone done, void *userdata, Error **ret_error);

/* Ends it, done or not. NULL is fine. */
void signature_free(Signature *signature);
