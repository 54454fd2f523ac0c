/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "name.h"
#include "sandbox.h"

#define PROGRESS_USEC (300 * 1000)
#define TOTAL_USEC (UINT64_C(24) * 3600 * G_USEC_PER_SEC)
#define MEMORY (UINT64_C(512) << 20)
#define WORDS_MAX 4096U
#define FULL (1024 * 1024)

/* All of them read stdin and write stdout; gzip alone leaves no holes. */
static const struct {
    const char *packing, *package;
    const char *argv[6];
} programs[] = {
    {".xz", "xz-utils", {"/usr/bin/xz", "--decompress", "--stdout", "--memlimit-decompress=400MiB", NULL}},
    {".gz", "gzip", {"/usr/bin/gzip", "--decompress", "--stdout", NULL}},
    {".zst", "zstd", {"/usr/bin/zstd", "--decompress", "--stdout", "--sparse", "--quiet", NULL}},
};

struct Unpack {
    sd_event *event;
    Scopes *scopes;
    char *name, *unit;
    int from, to, errors; /* the latter is a memfd */
    uint64_t size, max_size;
    ScopeJob *job;
    sd_event_source *timer;
    UnpackDone done;
    UnpackProgress progress;
    void *userdata;
};

static const char *const *find_program(const char *name, const char **ret_package)
{
    const char *packing = name_packing(name);
    for (size_t i = 0; packing && i < G_N_ELEMENTS(programs); i++)
        if (g_str_equal(programs[i].packing, packing)) {
            *ret_package = programs[i].package;
            return programs[i].argv;
        }
    return NULL;
}

bool unpack_check(const char *name, Error **ret_error)
{
    const char *package;
    const char *const *argv = find_program(name, &package);
    if (!argv)
        return error_set(ret_error, ERROR_UNSUPPORTED, name, NULL, "its name does not say how it is packed");
    g_autofree char *remedy = g_strdup_printf("Install the package %s", package);
    return access(argv[0], X_OK) >= 0 || error_set(ret_error, ERROR_UNSUPPORTED, argv[0], remedy, "what unpacks it is not there");
}

void unpack_free(Unpack *unpack)
{
    if (!unpack)
        return;
    if (unpack->job)
        service_end(unpack->scopes, unpack->unit);
    scope_job_forget(unpack->job);
    sd_event_source_disable_unref(unpack->timer);
    close_fd(&unpack->from);
    close_fd(&unpack->to);
    close_fd(&unpack->errors);
    sd_event_unref(unpack->event);
    g_free(unpack->name);
    g_free(unpack->unit);
    g_free(unpack);
}

/* It reads by the same open file, so that its place is ours. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Unpack *unpack = userdata;
    off_t at = lseek(unpack->from, 0, SEEK_CUR);
    if (unpack->progress && unpack->size > 0 && at >= 0)
        unpack->progress(unpack, MIN((double) at / (double) unpack->size, 1), unpack->userdata);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Where the kernel ended it, for a file or memory that is too large, it has said nothing. It may have left a hole up to the end. */
static Error *why(const Unpack *unpack)
{
    Error *error = NULL;
    char words[WORDS_MAX] = "";
    struct statvfs vfs;
    struct stat st;
    (void) !pread(unpack->errors, words, sizeof words - 1, 0);
    g_autofree char *valid = g_utf8_make_valid(words, -1);
    g_strstrip(g_strdelimit(valid, "\r\n", ' '));
    if (!*valid || strstr(valid, g_strerror(EFBIG)) || (fstat(unpack->to, &st) >= 0 && (uint64_t) st.st_size >= unpack->max_size))
        error_set(&error, ERROR_LIMIT_REACHED, unpack->name, "Say how large it may be (max-size)", "unpacked it is larger than %" G_GUINT64_FORMAT " bytes",
            unpack->max_size);
    else if (fstatvfs(unpack->to, &vfs) == 0 && vfs.f_blocks > 0 && (uint64_t) vfs.f_bavail * vfs.f_frsize < FULL)
        error_set(&error, ERROR_NO_SPACE, unpack->name, NULL, "there is no room for it");
    else
        error_set(&error, ERROR_FAILED, unpack->name, NULL, "it cannot be unpacked: %.300s", valid);
    return error;
}

/* systemd's job for a service of this type ends when the program does. */
static void on_service(const Error *failed, void *userdata)
{
    Unpack *unpack = userdata;
    unpack->job = NULL;
    unpack->timer = sd_event_source_disable_unref(unpack->timer);
    g_autoptr(Error) error = failed ? why(unpack) : NULL;
    unpack->done(unpack, error, unpack->userdata);
}

static ScopeJob *start_service(Unpack *unpack, const char *const *argv, bool user, Error **ret_error)
{
    static const char *const families[] = {"AF_UNIX", NULL};
    static const char *const paths[] = {"/usr", "-/lib", "-/lib64", "-/etc/ld.so.cache", NULL};
    const ServiceProperty properties[] = {
        {"Description", 's', .text = "Unpacking of an Image of Virtual Machines"},
        {"Type", 's', .text = "oneshot"},
        {"StandardInputFileDescriptor", 'h', .number = (uint64_t) unpack->from},
        {"StandardOutputFileDescriptor", 'h', .number = (uint64_t) unpack->to},
        {"StandardErrorFileDescriptor", 'h', .number = (uint64_t) unpack->errors},
        {"LimitFSIZE", 't', .number = unpack->max_size},
        {"LimitCORE", 't', .number = 0},
        {"MemoryDenyWriteExecute", 'b', .number = 1},
        {"MemoryMax", 't', .number = MEMORY},
        {"TasksMax", 't', .number = 16},
        {"PrivateNetwork", 'b', .number = !user},
        {"RestrictAddressFamilies", 'F', .number = 1, .words = families},
        {"TimeoutStartUSec", 't', .number = TOTAL_USEC},
        {NULL},
    };
    const SandboxSpec spec = {.unit = unpack->unit, .argv = argv, .paths = paths, .properties = properties, .user = user};
    return sandbox_start(unpack->scopes, &spec, on_service, unpack, ret_error);
}

Unpack *unpack_start(sd_event *event, Scopes *scopes, bool user, const UnpackSpec *spec, UnpackDone done, UnpackProgress progress, void *userdata,
    Error **ret_error)
{
    const char *package;
    struct stat st;
    if (!unpack_check(spec->name, ret_error))
        return NULL;
    Unpack *unpack = g_new0(Unpack, 1);
    unpack->event = sd_event_ref(event);
    unpack->scopes = scopes;
    unpack->name = g_strdup(spec->name);
    unpack->unit = g_strdup(spec->unit);
    unpack->max_size = spec->max_size;
    unpack->done = done;
    unpack->progress = progress;
    unpack->userdata = userdata;
    unpack->from = fcntl(spec->from, F_DUPFD_CLOEXEC, 3);
    unpack->to = fcntl(spec->to, F_DUPFD_CLOEXEC, 3);
    unpack->errors = memfd_create("vmd-errors", MFD_CLOEXEC);
    bool opened = unpack->from >= 0 && unpack->to >= 0 && unpack->errors >= 0 && lseek(unpack->from, 0, SEEK_SET) >= 0 &&
        lseek(unpack->to, 0, SEEK_SET) >= 0 && fstat(unpack->from, &st) >= 0;
    if (!opened)
        error_set_errno(ret_error, errno, spec->name, "it cannot be unpacked");
    else
        unpack->job = start_service(unpack, find_program(spec->name, &package), user, ret_error);
    if (!unpack->job) {
        unpack_free(unpack);
        return NULL;
    }
    unpack->size = (uint64_t) st.st_size;
    (void) sd_event_add_time_relative(event, &unpack->timer, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_timer, unpack);
    return unpack;
}
