/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "cleanup.h"
#include "qmp.h"
#include "service.h"

#define JOB_ID "work"
#define PROGRESS_USEC (200 * 1000)
#define ANSWER_USEC (60 * G_USEC_PER_SEC)

typedef struct Step {
    char *command;
    json_t *arguments;
    int fd; /* goes along; -1: none */
    bool job;
} Step;

struct Worker {
    sd_event *event;
    Scopes *scopes;
    bool user;
    GPtrArray *steps; /* Step */
    unsigned next;    /* the one that is under way is next - 1 */
    unsigned sets;
    char *unit;
    Qmp *qmp;
    ScopeJob *starting;
    bool started, closing;
    sd_event_source *progress_timer;
    WorkerDone done;
    WorkerProgress progress;
    void *userdata;
};

static void step_free(void *userdata)
{
    Step *step = userdata;
    g_free(step->command);
    json_decref(step->arguments);
    close_fd(&step->fd);
    g_free(step);
}

Worker *worker_new(sd_event *event, Scopes *scopes, bool user)
{
    Worker *worker = g_new0(Worker, 1);
    worker->event = sd_event_ref(event);
    worker->scopes = scopes;
    worker->user = user;
    worker->steps = g_ptr_array_new_with_free_func(step_free);
    return worker;
}

void worker_free(Worker *worker)
{
    if (!worker)
        return;
    scope_job_forget(worker->starting);
    sd_event_source_disable_unref(worker->progress_timer);
    qmp_free(worker->qmp);
    /* Done or not. It closes its images when it is told to end, and is killed where it does not. */
    if (worker->unit)
        service_end(worker->scopes, worker->unit);
    g_ptr_array_unref(worker->steps);
    sd_event_unref(worker->event);
    g_free(worker->unit);
    g_free(worker);
}

/* ---- steps ---- */

static void add_step(Worker *worker, const char *command, json_t *arguments, int fd, bool job)
{
    Step *step = g_new(Step, 1);
    *step = (Step){.command = g_strdup(command), .arguments = arguments ?: json_object(), .fd = fd, .job = job};
    g_ptr_array_add(worker->steps, step);
}

void worker_add_call(Worker *worker, const char *command, json_t *arguments)
{
    add_step(worker, command, arguments, -1, false);
}

void worker_add_job(Worker *worker, const char *command, json_t *arguments)
{
    json_object_set_new(arguments, "job-id", json_string(JOB_ID));
    /* It stays until it was asked why it ended. */
    if (!g_str_equal(command, "blockdev-create"))
        json_object_set_new(arguments, "auto-dismiss", json_false());
    add_step(worker, command, arguments, -1, true);
}

unsigned worker_add_fds(Worker *worker, const int *fds, size_t n)
{
    unsigned set = ++worker->sets;
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= 0)
            add_step(worker, "add-fd", json_pack("{si}", "fdset-id", (int) set), fcntl(fds[i], F_DUPFD_CLOEXEC, 3), false);
    return set;
}

static void add_chain(Worker *worker, const Image *image, const char *name, unsigned depth)
{
    const BlockdevOptions options = {.discard = true};
    const int fds[] = {image->fd, image->read_fd};
    if (image->backing)
        add_chain(worker, image->backing, name, depth + 1);
    unsigned set = worker_add_fds(worker, fds, G_N_ELEMENTS(fds));
    worker_add_call(worker, "blockdev-add", blockdev_file(image, name, depth, set, &options));
    worker_add_call(worker, "blockdev-add", blockdev_format(image, name, depth, &options));
}

void worker_add_image(Worker *worker, const Image *image, const char *name)
{
    add_chain(worker, image, name, 0);
}

/* ---- the run ---- */

static void end(Worker *worker, const Error *error)
{
    if (worker->closing)
        return;
    worker->closing = true;
    worker->progress_timer = sd_event_source_disable_unref(worker->progress_timer);
    worker->done(worker, error, worker->userdata);
}

static void next_step(Worker *worker);

static const Step *current_step(const Worker *worker)
{
    return worker->steps->pdata[worker->next - 1];
}

static void on_answer(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Worker *worker = userdata;
    if (error)
        return end(worker, error);
    if (!current_step(worker)->job)
        next_step(worker);
}

static void next_step(Worker *worker)
{
    g_autoptr(Error) error = NULL;
    if (worker->next >= worker->steps->len)
        return end(worker, NULL);
    Step *step = worker->steps->pdata[worker->next++];
    int r = qmp_call(worker->qmp, step->command, json_incref(step->arguments), step->fd, step->job ? 0 : ANSWER_USEC, on_answer, worker);
    close_fd(&step->fd);
    if (r >= 0)
        return;
    error_set_errno(&error, r, step->command, "QEMU cannot be asked");
    end(worker, error);
}

static const json_t *our_job(const json_t *jobs)
{
    size_t i;
    json_t *job;
    json_array_foreach((json_t *) jobs, i, job)
        if (g_strcmp0(json_string_value(json_object_get(job, "id")), JOB_ID) == 0)
            return job;
    return NULL;
}

static void on_progress(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Worker *worker = userdata;
    const json_t *job = our_job(result);
    json_int_t total = json_integer_value(json_object_get(job, "total-progress"));
    json_int_t done = json_integer_value(json_object_get(job, "current-progress"));
    if (!worker->closing && worker->progress && total > 0 && done >= 0 && done <= total)
        worker->progress(worker, (double) done / (double) total, worker->userdata);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Worker *worker = userdata;
    if (worker->next > 0 && current_step(worker)->job)
        (void) qmp_call(worker->qmp, "query-jobs", NULL, -1, 0, on_progress, worker);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_dismissed(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Worker *worker = userdata;
    if (error)
        end(worker, error);
    else
        next_step(worker);
}

/* How a job that has ended did. */
static void on_concluded(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Worker *worker = userdata;
    const char *cause = json_string_value(json_object_get(our_job(result), "error"));
    g_autoptr(Error) error = NULL;
    if (failed)
        return end(worker, failed);
    if (cause) {
        /* QEMU has the kernel's words, not its number. */
        bool full = strstr(cause, g_strerror(ENOSPC)) || strstr(cause, g_strerror(EDQUOT));
        g_autofree char *words = g_utf8_make_valid(cause, -1);
        error_set(&error, full ? ERROR_NO_SPACE : ERROR_QEMU_FAILED, NULL, NULL, "%.500s", words);
        return end(worker, error);
    }
    (void) qmp_call(worker->qmp, "job-dismiss", json_pack("{ss}", "id", JOB_ID), -1, ANSWER_USEC, on_dismissed, worker);
}

static void on_event(Qmp *qmp, const char *name, const json_t *data, void *userdata)
{
    Worker *worker = userdata;
    const char *id = json_string_value(json_object_get(data, "id")), *status = json_string_value(json_object_get(data, "status"));
    if (worker->closing || !g_str_equal(name, "JOB_STATUS_CHANGE") || worker->next == 0 || !current_step(worker)->job)
        return;
    if (g_strcmp0(id, JOB_ID) != 0 || !status)
        return;
    if (g_str_equal(status, "ready")) /* a mirror, which would go on for ever; it is whole when it is stopped now */
        (void) qmp_call(qmp, "block-job-cancel", json_pack("{ss}", "device", JOB_ID), -1, 0, NULL, NULL);
    else if (g_str_equal(status, "concluded"))
        (void) qmp_call(qmp, "query-jobs", NULL, -1, ANSWER_USEC, on_concluded, worker);
}

static void on_ready(Qmp *qmp, const char *version, void *userdata)
{
    Worker *worker = userdata;
    (void) sd_event_add_time_relative(worker->event, &worker->progress_timer, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_timer, worker);
    next_step(worker);
}

static void on_closed(Qmp *qmp, const Error *failed, void *userdata)
{
    Worker *worker = userdata;
    g_autoptr(Error) error = error_copy(failed);
    if (!error)
        error_set(&error, ERROR_QEMU_FAILED, worker->unit, "Look at 'journalctl -u' of it", "QEMU ended before its work was done");
    end(worker, error);
}

static const QmpHandlers handlers = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void on_service(const Error *error, void *userdata)
{
    Worker *worker = userdata;
    worker->starting = NULL;
    if (error)
        end(worker, error);
}

/* Its own descriptor is all that it has to the outside. */
static ScopeJob *start_service(Worker *worker, const char *binary, int fd, Error **ret_error)
{
    const char *const argv[] = {binary, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-chardev",
        "socket,id=monitor,fd=0", "-mon", "chardev=monitor,mode=control", NULL};
    static const char *const native[] = {"native", NULL}, *const root[] = {"/", NULL}, *const unix_only[] = {"AF_UNIX", NULL};
    static const char *const calls[] = {"@system-service", NULL};
    static const char *const programs[] = {"/usr", "-/lib", "-/lib64", "-/etc/ld.so.cache", NULL};
    g_autofree char *own = NULL;
    if (worker->user ? sd_pid_get_user_unit(0, &own) < 0 : sd_pid_get_unit(0, &own) < 0)
        own = NULL;
    const char *const bind[] = {own, NULL};
    GArray *properties = g_array_new(TRUE, TRUE, sizeof(ServiceProperty));
    const ServiceProperty all[] = {
        {"Description", 's', .text = "Work on an Image of a Virtual Machine"},
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {"StandardInputFileDescriptor", 'h', .number = (uint64_t) fd},
        {"StandardOutput", 's', .text = "journal"},
        {"StandardError", 's', .text = "journal"},
        {"NoNewPrivileges", 'b', .number = 1},
        {"LockPersonality", 'b', .number = 1},
        {"RestrictRealtime", 'b', .number = 1},
        {"RestrictSUIDSGID", 'b', .number = 1},
        {"SystemCallArchitectures", 'a', .words = native},
        {"MemoryMax", 't', .number = UINT64_C(1) << 30},
        {"TasksMax", 't', .number = 64},
        {"RestrictAddressFamilies", 'F', .number = 1, .words = unix_only},
        {"SystemCallFilter", 'F', .number = 1, .words = calls},
        {"SystemCallErrorNumber", 'i', .number = EPERM},
        {"TimeoutStopUSec", 't', .number = G_USEC_PER_SEC},
        {"OOMScoreAdjust", 'i', .number = 500},
    };
    const ServiceProperty system_only[] = {
        {"DynamicUser", 'b', .number = 1},
        {"CapabilityBoundingSet", 't', .number = 0},
        {"ProtectSystem", 's', .text = "strict"},
        {"ProtectProc", 's', .text = "invisible"},
        {"PrivateDevices", 'b', .number = 1},
        {"ProtectKernelModules", 'b', .number = 1},
        {"ProtectKernelLogs", 'b', .number = 1},
        {"ProtectKernelTunables", 'b', .number = 1},
        {"ProtectControlGroups", 'b', .number = 1},
        {"ProtectClock", 'b', .number = 1},
        {"ProtectHostname", 'b', .number = 1},
        {"RestrictNamespaces", 't', .number = 0},
        {"MountAPIVFS", 'b', .number = 1},
        {"TemporaryFileSystem", 'T', .words = root},
        {"BindReadOnlyPaths", 'B', .words = programs},
    };
    g_array_append_vals(properties, all, G_N_ELEMENTS(all));
    if (!worker->user)
        g_array_append_vals(properties, system_only, G_N_ELEMENTS(system_only));
    if (own) {
        const ServiceProperty with_vmd = {"BindsTo", 'a', .words = bind};
        g_array_append_val(properties, with_vmd);
    }
    const ServiceSpec spec = {.unit = worker->unit, .argv = argv, .properties = (const ServiceProperty *) properties->data};
    ScopeJob *job = service_start(worker->scopes, &spec, on_service, worker, ret_error);
    g_array_unref(properties);
    return job;
}

bool worker_start(Worker *worker, const char *binary, const char *unit, WorkerDone done, WorkerProgress progress, void *userdata,
    Error **ret_error)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(ret_error, errno, NULL, "a socket cannot be made");
    fd_cleanup int theirs = fds[1];
    worker->done = done;
    worker->progress = progress;
    worker->userdata = userdata;
    int r = qmp_new(worker->event, fds[0], &handlers, worker, &worker->qmp);
    if (r < 0)
        return error_set_errno(ret_error, r, unit, "its monitor cannot be connected");
    worker->unit = g_strdup(unit);
    worker->starting = start_service(worker, binary, theirs, ret_error);
    if (!worker->starting)
        g_clear_pointer(&worker->unit, g_free);
    return worker->starting != NULL;
}
