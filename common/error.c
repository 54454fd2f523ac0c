/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DBUS_ERROR_PREFIX "org.vmd1.Error."

/* Names on the bus never change once released. */
static const char *const dbus_names[_ERROR_CODE_MAX] = {
        [ERROR_FAILED] = DBUS_ERROR_PREFIX "Failed",
        [ERROR_NO_SUCH_VM] = DBUS_ERROR_PREFIX "NoSuchVM",
        [ERROR_NO_SUCH_JOB] = DBUS_ERROR_PREFIX "NoSuchJob",
        [ERROR_NO_SUCH_NETWORK] = DBUS_ERROR_PREFIX "NoSuchNetwork",
        [ERROR_NO_SUCH_POOL] = DBUS_ERROR_PREFIX "NoSuchPool",
        [ERROR_NO_SUCH_VOLUME] = DBUS_ERROR_PREFIX "NoSuchVolume",
        [ERROR_NO_SUCH_SNAPSHOT] = DBUS_ERROR_PREFIX "NoSuchSnapshot",
        [ERROR_NO_SUCH_CHECKPOINT] = DBUS_ERROR_PREFIX "NoSuchCheckpoint",
        [ERROR_NO_SUCH_DEVICE] = DBUS_ERROR_PREFIX "NoSuchDevice",
        [ERROR_EXISTS] = DBUS_ERROR_PREFIX "Exists",
        [ERROR_INVALID_NAME] = DBUS_ERROR_PREFIX "InvalidName",
        [ERROR_INVALID_SETTINGS] = DBUS_ERROR_PREFIX "InvalidSettings",
        [ERROR_NOT_RUNNING] = DBUS_ERROR_PREFIX "NotRunning",
        [ERROR_ALREADY_RUNNING] = DBUS_ERROR_PREFIX "AlreadyRunning",
        [ERROR_BUSY] = DBUS_ERROR_PREFIX "Busy",
        [ERROR_IN_USE] = DBUS_ERROR_PREFIX "InUse",
        [ERROR_UNSUPPORTED] = DBUS_ERROR_PREFIX "Unsupported",
        [ERROR_NOT_AUTHORIZED] = DBUS_ERROR_PREFIX "NotAuthorized",
        [ERROR_GUEST_UNRESPONSIVE] = DBUS_ERROR_PREFIX "GuestUnresponsive",
        [ERROR_QEMU_FAILED] = DBUS_ERROR_PREFIX "QemuFailed",
        [ERROR_CANCELLED] = DBUS_ERROR_PREFIX "Cancelled",
        [ERROR_NO_SPACE] = DBUS_ERROR_PREFIX "NoSpace",
        [ERROR_TIMED_OUT] = DBUS_ERROR_PREFIX "TimedOut",
        [ERROR_LIMIT_REACHED] = DBUS_ERROR_PREFIX "LimitReached",
};

static Error *error_new(ErrorCode code, const char *thing, const char *remedy, char *cause)
{
    Error *e = g_new(Error, 1);

    *e = (Error){.code = code, .thing = g_strdup(thing), .cause = cause, .remedy = g_strdup(remedy)};
    return e;
}

bool error_set(
        Error **ret_error, ErrorCode code, const char *thing, const char *remedy, const char *cause, ...)
{
    va_list ap;

    if (!ret_error || *ret_error)
        return false;

    va_start(ap, cause);
    *ret_error = error_new(code, thing, remedy, g_strdup_vprintf(cause, ap));
    va_end(ap);
    return false;
}

bool error_set_errno(Error **ret_error, int err, const char *thing, const char *cause, ...)
{
    g_autofree char *text = NULL;
    ErrorCode code;
    va_list ap;

    if (!ret_error || *ret_error)
        return false;

    err = abs(err);
    code = err == EOPNOTSUPP || err == ENOSYS      ? ERROR_UNSUPPORTED
            : err == ENOSPC || err == EDQUOT ? ERROR_NO_SPACE
                                             : ERROR_FAILED;

    va_start(ap, cause);
    text = g_strdup_vprintf(cause, ap);
    va_end(ap);
    *ret_error = error_new(code, thing, NULL, g_strdup_printf("%s: %s", text, g_strerror(err)));
    return false;
}

bool error_propagate(Error **ret_error, Error *source)
{
    if (ret_error && !*ret_error)
        *ret_error = source;
    else
        error_free(source);
    return false;
}

Error *error_copy(const Error *error)
{
    return error ? error_new(error->code, error->thing, error->remedy, g_strdup(error->cause)) : NULL;
}

void error_free(Error *error)
{
    if (!error)
        return;

    g_free(error->thing);
    g_free(error->cause);
    g_free(error->remedy);
    g_free(error);
}

char *error_message(const Error *error)
{
    GString *s = g_string_new(NULL);

    if (error->thing)
        g_string_append_printf(s, "%s: ", error->thing);
    g_string_append(s, error->cause);
    if (error->remedy) {
        if (s->len > 0 && !strchr(".!?", s->str[s->len - 1]))
            g_string_append_c(s, '.');
        g_string_append_printf(s, " %s", error->remedy);
    }

    /* What a file, a guest or QEMU said may stand in it: no control characters reach a terminal or log. */
    for (size_t i = 0; i < s->len; i++)
        if (g_ascii_iscntrl(s->str[i]))
            s->str[i] = ' ';
    return g_string_free(s, FALSE);
}

const char *error_code_to_dbus(ErrorCode code)
{
    g_assert((unsigned) code < _ERROR_CODE_MAX);
    return dbus_names[code];
}

ErrorCode error_code_from_dbus(const char *name)
{
    for (unsigned code = 0; code < _ERROR_CODE_MAX; code++)
        if (g_strcmp0(name, dbus_names[code]) == 0)
            return code;
    return ERROR_FAILED;
}
