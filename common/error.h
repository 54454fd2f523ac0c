/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Error: the one way in which vmd and vmctl say that something failed.
 *
 * An Error names the thing ("VM \"web\"", "/etc/vmd/web.vm:3"), the cause ("there is no key Memroy= in
 * [VM]") and, where there is one, the way out ("Did you mean Memory=?"). Its code maps to exactly one
 * D-Bus error name, org.vmd1.Error.*; the table in error.c is the only place where these names stand.
 *
 * Functions that a user may see failing take a trailing `Error **ret_error` and return false (or NULL)
 * after setting it; on success it is not touched. ret_error may be NULL where a caller does not care.
 * Functions for which an errno says everything return a negative errno and take no Error. An Error is
 * owned by whoever receives it; error_free() or g_autoptr(Error) releases it. */

#include <glib.h>
#include <stdbool.h>

typedef enum ErrorCode {
    ERROR_FAILED, /* a cause that has no name of its own, for example an I/O error */
    ERROR_NO_SUCH_VM,
    ERROR_NO_SUCH_JOB,
    ERROR_NO_SUCH_NETWORK,
    ERROR_NO_SUCH_POOL,
    ERROR_NO_SUCH_VOLUME,
    ERROR_NO_SUCH_SNAPSHOT,
    ERROR_NO_SUCH_CHECKPOINT,
    ERROR_NO_SUCH_DEVICE,
    ERROR_EXISTS,
    ERROR_INVALID_NAME,
    ERROR_INVALID_SETTINGS,
    ERROR_NOT_RUNNING,
    ERROR_ALREADY_RUNNING,
    ERROR_BUSY,
    ERROR_IN_USE,
    ERROR_UNSUPPORTED,
    ERROR_NOT_AUTHORIZED,
    ERROR_GUEST_UNRESPONSIVE,
    ERROR_QEMU_FAILED,
    ERROR_CANCELLED,
    ERROR_TIMED_OUT,
    ERROR_LIMIT_REACHED,
    ERROR_NO_SPACE, /* a disk is full, or a quota used up */
    _ERROR_CODE_MAX,
} ErrorCode;

typedef struct Error {
    ErrorCode code;
    char *thing;
    char *cause;
    char *remedy; /* NULL where none is known */
} Error;

/* Sets *ret_error (when ret_error is not NULL). `thing` and `remedy` may be NULL; `cause` is a format.
 * Always returns false, so that `return error_set(...)` reads well. An Error that is already there is
 * kept: the first cause is the one that matters. */
bool error_set(Error **ret_error, ErrorCode code, const char *thing, const char *remedy, const char *cause,
        ...) G_GNUC_PRINTF(5, 6);

/* The same for a negative or positive errno: the cause becomes "CAUSE: strerror". Codes: ENOENT and the
 * rest map to ERROR_FAILED; ENOTSUP and ENOSYS to ERROR_UNSUPPORTED; ENOSPC and EDQUOT to ERROR_NO_SPACE. */
bool error_set_errno(Error **ret_error, int err, const char *thing, const char *cause, ...)
        G_GNUC_PRINTF(4, 5);

/* Moves `source` into *ret_error, or frees it when ret_error is NULL. Returns false. */
bool error_propagate(Error **ret_error, Error *source);

Error *error_copy(const Error *error);
void error_free(Error *error);

/* "THING: CAUSE. REMEDY" as a person reads it, one line. */
char *error_message(const Error *error);

/* "org.vmd1.Error.NoSuchVM" and back; an unknown name is ERROR_FAILED. */
const char *error_code_to_dbus(ErrorCode code);
ErrorCode error_code_from_dbus(const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)
