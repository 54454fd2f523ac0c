/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "signature.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cleanup.h"
#include "sandbox.h"

#define GPGV "/usr/bin/gpgv"
#define TOTAL_USEC (60 * G_USEC_PER_SEC)
#define MEMORY (UINT64_C(128) << 20)

struct Signature {
    Scopes *scopes;
    char *name, *unit;
    ScopeJob *job;
    SignatureDone done;
    void *userdata;
};

bool signature_check_program(Error **ret_error)
{
    return access(GPGV, X_OK) >= 0 || error_set(ret_error, ERROR_UNSUPPORTED, GPGV, "Install the package gpgv", "what checks signatures is not there");
}

void signature_free(Signature *signature)
{
    if (!signature)
        return;
    if (signature->job)
        service_end(signature->scopes, signature->unit);
    scope_job_forget(signature->job);
    g_free(signature->name);
    g_free(signature->unit);
    g_free(signature);
}

/* systemd's job for a service of this type ends when gpgv does, well or not. */
static void on_service(const Error *failed, void *userdata)
{
    Signature *signature = userdata;
    g_autoptr(Error) error = NULL;
    signature->job = NULL;
    if (failed)
        error_set(&error, ERROR_FAILED, signature->name, "Compare the key with what its makers publish", "it is not signed by a key of the keyring");
    signature->done(signature, error, signature->userdata);
}

/* The same open for reading only. */
static int reopen(int fd, const char *name, Error **ret_error)
{
    char path[32];
    (void) snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int copy = open(path, O_RDONLY | O_CLOEXEC);
    if (copy < 0)
        error_set_errno(ret_error, errno, name, "its signature cannot be checked");
    return copy;
}

/* A service can have three descriptors, so that gpgv has none to complain to: its exit code says all. */
static ScopeJob *start_service(Signature *signature, const SignatureSpec *spec, bool user, Error **ret_error)
{
    static const char *const families[] = {"AF_UNIX", NULL};
    static const char *const paths[] = {"/usr", "-/lib", "-/lib64", "-/etc/ld.so.cache", NULL};
    static const char *const argv[] = {GPGV, "--quiet", "--keyring", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", NULL};
    fd_cleanup int keyring = reopen(spec->keyring, spec->name, ret_error);
    fd_cleanup int signed_by = reopen(spec->signature, spec->name, ret_error);
    fd_cleanup int text = reopen(spec->text, spec->name, ret_error);
    const ServiceProperty properties[] = {
        {"Description", 's', .text = "Check of the Signature of an Image of Virtual Machines"},
        {"Type", 's', .text = "oneshot"},
        {"StandardInputFileDescriptor", 'h', .number = (uint64_t) keyring},
        {"StandardOutputFileDescriptor", 'h', .number = (uint64_t) signed_by},
        {"StandardErrorFileDescriptor", 'h', .number = (uint64_t) text},
        {"LimitCORE", 't', .number = 0},
        {"MemoryDenyWriteExecute", 'b', .number = 1},
        {"MemoryMax", 't', .number = MEMORY},
        {"TasksMax", 't', .number = 4},
        {"PrivateNetwork", 'b', .number = !user},
        {"RestrictAddressFamilies", 'F', .number = 1, .words = families},
        {"TimeoutStartUSec", 't', .number = TOTAL_USEC},
        {NULL},
    };
    const SandboxSpec sandbox = {.unit = spec->unit, .argv = argv, .paths = paths, .properties = properties, .user = user};
    return keyring < 0 || signed_by < 0 || text < 0 ? NULL : sandbox_start(signature->scopes, &sandbox, on_service, signature, ret_error);
}

Signature *signature_start(Scopes *scopes, bool user, const SignatureSpec *spec, SignatureDone done, void *userdata, Error **ret_error)
{
    if (!signature_check_program(ret_error))
        return NULL;
    Signature *signature = g_new0(Signature, 1);
    signature->scopes = scopes;
    signature->name = g_strdup(spec->name);
    signature->unit = g_strdup(spec->unit);
    signature->done = done;
    signature->userdata = userdata;
    signature->job = start_service(signature, spec, user, ret_error);
    if (!signature->job) {
        signature_free(signature);
        return NULL;
    }
    return signature;
}
