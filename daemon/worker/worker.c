/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "qmp.h"
#include "sandbox.h"

struct Worker {
    sd_event *event;
    Scopes *scopes;
    bool user;
    Script *script;
    unsigned sets;
    bool writes; /* to an image that was there before */
    char *unit;
    Qmp *qmp;
    ScopeJob *starting;
    bool ended;
    WorkerDone done;
    WorkerProgress progress;
    void *userdata;
};

Worker *worker_new(sd_event *event, Scopes *scopes, bool user)
{
    Worker *worker = g_new0(Worker, 1);
    worker->event = sd_event_ref(event);
    worker->scopes = scopes;
    worker->user = user;
    worker->script = script_new(event, "work");
    return worker;
}

void worker_free(Worker *worker)
{
    if (!worker)
        return;
    scope_job_forget(worker->starting);
    script_free(worker->script);
    qmp_free(worker->qmp);
    /* Done or not. */
    if (worker->unit)
        service_end(worker->scopes, worker->unit);
    sd_event_unref(worker->event);
    g_free(worker->unit);
    g_free(worker);
}

char *worker_unit(void)
{
    static unsigned count;
    return g_strdup_printf("vmd-job-%d-%u.service", (int) getpid(), ++count);
}

Script *worker_script(Worker *worker)
{
    return worker->script;
}

Script *worker_more(Worker *worker)
{
    script_free(worker->script);
    return worker->script = script_new(worker->event, "work");
}

Qmp *worker_qmp(Worker *worker)
{
    return worker->qmp;
}

unsigned worker_add_fds(Worker *worker, const int *fds, size_t n)
{
    script_add_fds(worker->script, ++worker->sets, fds, n);
    return worker->sets;
}

void worker_add_image(Worker *worker, const Image *image, const char *name)
{
    worker->writes |= !image->read_only;
    script_add_image(worker->script, image, name, &worker->sets);
}

/* ---- the run ---- */

static void end(Worker *worker, const Error *error)
{
    if (worker->ended)
        return;
    worker->ended = true;
    worker->done(worker, error, worker->userdata);
}

static void on_script(const Error *error, void *userdata)
{
    end(userdata, error);
}

static void on_progress(double progress, void *userdata)
{
    Worker *worker = userdata;
    if (worker->progress)
        worker->progress(worker, progress, worker->userdata);
}

static void on_ready(Qmp *qmp, const char *version, void *userdata)
{
    Worker *worker = userdata;
    script_run(worker->script, qmp, on_script, on_progress, worker);
}

void worker_go_on(Worker *worker)
{
    worker->ended = false;
    script_run(worker->script, worker->qmp, on_script, on_progress, worker);
}

static void on_event(Qmp *qmp, const char *name, const json_t *data, void *userdata)
{
    Worker *worker = userdata;
    if (!worker->ended)
        (void) script_event(worker->script, name, data);
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

/* Its own descriptor is all that it has to the outside.
 *
 * Told to end, QEMU closes its images, and stores what it knows of them. QEMU 7.2 aborts or waits for ever where it makes one just then: of 300 that
 * were told to in the first 12 ms of it, 45 and 3. So one that has nothing to store is killed. */
static ScopeJob *start_service(Worker *worker, const char *binary, int fd, Error **ret_error)
{
    const char *const argv[] = {binary, "-machine", "none", "-nodefaults", "-no-user-config", "-display", "none", "-S", "-chardev",
        "socket,id=monitor,fd=0", "-mon", "chardev=monitor,mode=control", NULL};
    static const char *const unix_only[] = {"AF_UNIX", NULL}, *const programs[] = {"/usr", "-/lib", "-/lib64", "-/etc/ld.so.cache", NULL};
    const ServiceProperty properties[] = {
        {"Description", 's', .text = "Work on an Image of a Virtual Machine"},
        {"StandardInputFileDescriptor", 'h', .number = (uint64_t) fd},
        {"StandardOutput", 's', .text = "journal"},
        {"StandardError", 's', .text = "journal"},
        {"KillSignal", 'i', .number = worker->writes ? SIGTERM : SIGKILL},
        {"SuccessExitStatus", 'X', .number = SIGKILL},
        {"MemoryMax", 't', .number = UINT64_C(1) << 30},
        {"TasksMax", 't', .number = 64},
        {"RestrictAddressFamilies", 'F', .number = 1, .words = unix_only},
        {NULL},
    };
    const SandboxSpec spec = {.unit = worker->unit, .argv = argv, .paths = programs, .properties = properties, .user = worker->user};
    return sandbox_start(worker->scopes, &spec, on_service, worker, ret_error);
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
