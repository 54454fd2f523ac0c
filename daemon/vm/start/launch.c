/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The second half of a start, from the guard's birth until the guest runs; start.c says how it goes. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "guard-argv.h"
#include "helpers.h"
#include "live.h"
#include "machine.h"
#include "machined.h"
#include "manager.h"
#include "pinning.h"
#include "plugs.h"
#include "spawn.h"
#include "start-internal.h"
#include "trays.h"
#include "value.h"

/* systemd unloads the scope of an earlier run within milliseconds of its end; a start that follows waits that long. */
#define SCOPE_RETRY_USEC (10 * 1000)
#define SCOPE_RETRIES 500
#define SCOPE_RETRIES_RESET 50

#define SAVED_FD_NAME "vmd-saved"

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Start *start = userdata;
    Error *error = NULL;
    g_autofree char *thing = vm_thing(start->vm);
    error_set(&error, ERROR_TIMED_OUT, thing, NULL, "%s did not happen in time (StartTimeout=)",
        !start->scope_active ? "systemd's start of the scope" : !start->instance->monitor_ready ? "QEMU's answer on its monitor" : "the guest's first step");
    start_fail(start, error);
    return 0;
}

/* ---- go ---- */

static void running(Start *start)
{
    VM *vm = start->vm;
    Instance *instance = start->instance;
    VMDone done = start->done;
    void *userdata = start->userdata;
    bool restored = start->restoring;

    instance->start = NULL;
    start_free(start);
    (void) instance_read_qemu(instance);
    if (restored)
        vm_delete_saved(vm);
    vm_set_state(vm, VM_RUNNING, restored ? REASON_RESTORED : REASON_REQUESTED, NULL);
    machined_register(vm);
    if (restored)
        usb_look(vm->manager, NULL, NULL);
    done(NULL, userdata);
}

static void on_cont(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Start *start = userdata;
    if (error)
        return start_fail(start, error_copy(error));
    if (start->restoring)
        trays_find(start->instance);
    running(start);
}

static void on_restore_step(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    if (error)
        start_fail(userdata, error_copy(error));
}

static int cont(Start *start)
{
    return qmp_call(start->instance->qmp, "cont", NULL, -1, 0, on_cont, start);
}

/* QEMU reads the state now; the MIGRATION event says when it has it. A "cont" before that would be lost. */
static int restore(Start *start)
{
    Qmp *qmp = start->instance->qmp;
    int r = qmp_call(qmp, "migrate-set-capabilities", json_pack("{s[{ss sb}]}", "capabilities", "capability", "events", "state", 1),
        -1, 0, on_restore_step, start);
    if (r >= 0)
        r = qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", SAVED_FD_NAME), start->saved_fd, 0, on_restore_step, start);
    if (r >= 0)
        r = qmp_call(qmp, "migrate-incoming", json_pack("{ss}", "uri", "fd:" SAVED_FD_NAME), -1, 0, on_restore_step, start);
    close_fd(&start->saved_fd);
    return r;
}

static void cannot_ask(Start *start, int r)
{
    Error *error = NULL;
    error_set_errno(&error, r, start->vm->name, "QEMU cannot be asked");
    start_fail(start, error);
}

void start_event(Start *start, const char *name, const json_t *data)
{
    if (!start->restoring || !g_str_equal(name, "MIGRATION"))
        return;
    const char *status = json_string_value(json_object_get(data, "status"));
    if (status && g_str_equal(status, "completed")) {
        int r = cont(start);
        if (r < 0)
            cannot_ask(start, r);
    } else if (status && g_str_equal(status, "failed")) {
        Error *error = NULL;
        error_set(&error, ERROR_QEMU_FAILED, start->vm->name, "Boot it afresh after 'vmctl discard' of it", "QEMU could not read the saved state");
        start_fail(start, error);
    }
}

/* Link=down: QEMU has no argument for it. */
static int unplug_cables(Start *start)
{
    g_autofree const char **sections = settings_sections(start->settings, "Network");
    int r = 0;
    for (size_t i = 0; r >= 0 && sections[i]; i++) {
        if (g_str_equal(settings_get_string(start->settings, sections[i], "Link"), "up"))
            continue;
        g_autofree char *card = g_strdup_printf("nic-%s", sections[i] + strlen("Network "));
        r = qmp_call(start->instance->qmp, "set_link", json_pack("{ss sb}", "name", card, "up", 0), -1, 0, on_restore_step, start);
    }
    return r;
}

/* QEMU has arguments for these, but not for disks that are block nodes. */
static int limit_disks(Start *start)
{
    g_autofree const char **sections = settings_sections(start->settings, "Disk");
    int r = 0;
    for (size_t i = 0; r >= 0 && sections && sections[i]; i++)
        if (machine_disk_has_limits(start->settings, sections[i]))
            r = live_limit_disk(start->instance, start->settings, sections[i], on_restore_step, start);
    return r;
}

static void take_first_step(Start *start)
{
    Error *error = NULL;
    start->going = true;
    /* What counts at once counts for a saved VM, too: its file may have been changed because the host has other CPUs by now. */
    g_autoptr(Settings) file = start->restoring ? vm_load_settings(start->vm, NULL) : NULL;
    if (!pinning_begin(start->instance, file ? file : start->settings, &error))
        return start_fail(start, error);
    int r = unplug_cables(start);
    if (r >= 0)
        r = limit_disks(start);
    if (r >= 0)
        r = start->restoring ? restore(start) : cont(start);
    if (r < 0)
        cannot_ask(start, r);
}

static void on_usb(void *userdata)
{
    Start *start = userdata;
    if (!start->error)
        take_first_step(start);
}

static void go(Start *start)
{
    if (!start->scope_active || !start->helpers_ready || !start->instance->monitor_ready || start->looking || start->going || start->error)
        return;
    /* What is plugged in is there when the guest's firmware looks; memory that was saved knows nothing of it, so there it comes after. */
    if (!start->restoring && usb_is_wanted(start->settings)) {
        start->looking = true;
        return usb_look(start->vm->manager, on_usb, start);
    }
    take_first_step(start);
}

bool start_awaits_usb(const Start *start)
{
    return start->looking;
}

void start_monitor_ready(Start *start)
{
    go(start);
}

void start_monitor_closed(Start *start, const Error *error)
{
    /* An end of file means that QEMU ends, and why stands in its output, which the guard will bring. */
    if (error)
        start_fail(start, error_copy(error));
}

/* ---- launch ---- */

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Start *start = userdata;
    start->timer = sd_event_source_disable_unref(start->timer);
    start_launch(start);
    return 0;
}

static void retry(Start *start)
{
    Manager *manager = start->vm->manager;
    g_autofree char *unit = vm_scope(start->vm);
    if (start->retries++ >= SCOPE_RETRIES) {
        Error *error = NULL;
        error_set(&error, ERROR_BUSY, unit, "Look at 'systemctl status' of it, and stop it", "a scope of this name is still there");
        return start_fail(start, error);
    }
    if (start->retries % SCOPE_RETRIES_RESET == 0) {
        scope_reset(manager->scopes, unit);
        /* One that a vmd of before made and systemd never heard of. */
        if (!scope_is_loaded(manager->scopes, unit))
            scope_cgroup_remove(manager->scopes, unit);
    }
    start->timer = sd_event_source_disable_unref(start->timer);
    (void) sd_event_add_time_relative(manager->event, &start->timer, CLOCK_MONOTONIC, SCOPE_RETRY_USEC, 1, on_retry, start);
}

static void on_scope(const Error *error, void *userdata)
{
    Start *start = userdata;
    start->scope_job = NULL;
    if (error) {
        start->instance->orphan = true;
        /* systemd finds nobody where QEMU ended first: why it did is what its end brings, in a moment. */
        if (instance_guard_is_gone(start->instance))
            return;
        return start_fail(start, error_copy(error));
    }
    start->scope_active = true;
    helpers_go(start->instance->helpers);
    if (start->go_fd >= 0) {
        (void) !write(start->go_fd, "g", 1);
        close_fd(&start->go_fd);
    }
    go(start);
}

static void on_spawned(pid_t pid, int pidfd, int error, void *userdata);

static void spawn_guard(Start *start, int cgroup, int go_read_fd)
{
    g_autoptr(GArray) fds = g_array_copy(start->command->fds);
    int own[] = {start->opened.status_fd, start->opened.guard_qmp_fd, start->opened.guard_console_fd, start->opened.console_listen_fd, start->opened.console_log_fd,
        go_read_fd, start->opened.tls_fds[0], start->opened.tls_fds[1], start->opened.tls_fds[2]};
    for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
        if (own[i] >= 0)
            g_array_append_val(fds, own[i]);

    g_autoptr(GPtrArray) argv = guard_argv(start->instance, &start->opened, start->settings, start->command, go_read_fd);
    start->opened.journal_fd = sd_journal_stream_fd("qemu", LOG_INFO, true);
    start->opened.cgroup_fd = cgroup;
    start->opened.go_read_fd = go_read_fd;
    SpawnSpec spec = {
        .argv = (char *const *) argv->pdata,
        .fds = (const int *) fds->data,
        .n_fds = fds->len,
        .output = start->opened.journal_fd >= 0 ? start->opened.journal_fd : STDERR_FILENO,
        .cgroup = cgroup,
    };
    start->spawning = true;
    spawner_spawn(start->vm->manager->spawner, &spec, on_spawned, start);
}

/* Without a cgroup: the guard waits for the scope. */
static int spawn_beside(Start *start)
{
    int go[2];
    if (pipe2(go, O_CLOEXEC) < 0)
        return -errno;
    start->in_place = false;
    start->go_fd = go[1];
    spawn_guard(start, -1, go[0]);
    return 0;
}

static int spawn_in_place(Start *start, const char *unit)
{
    int cgroup = scope_cgroup_make(start->vm->manager->scopes, unit);
    if (cgroup == -EEXIST)
        return -EEXIST;
    if (cgroup < 0)
        return spawn_beside(start);
    start->in_place = true;
    spawn_guard(start, cgroup, -1);
    return 0;
}

static void cannot_spawn(Start *start, int r)
{
    Error *error = NULL;
    const char *remedy = start->vm->manager->user ? NULL : "Look at 'systemctl status vmd-spawn.socket vmd-spawn.service'";
    error_set(&error, ERROR_FAILED, GUARD_PATH, remedy, "it cannot be started: %s", g_strerror(-r));
    start_fail(start, error);
}

static void make_scope(Start *start)
{
    VM *vm = start->vm;
    Instance *instance = start->instance;
    g_autofree char *unit = vm_scope(vm);
    g_autofree char *description = vm->description ? g_strdup(vm->description) : g_strdup_printf("Virtual machine %s", vm->name);
    g_autoptr(GPtrArray) mounts = sources_mounts(vm->manager, start->settings);
    g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    Error *error = NULL;
    g_array_append_val(pids, instance->guard);
    if (!start->in_place) /* those are in its cgroup, or will be */
        helpers_append_guards(instance->helpers, pids);
    ScopeSpec spec = {
        .unit = unit,
        .description = description,
        .pids = pids,
        .stop_timeout = instance->stop_timeout,
        .kill_signal = SIGRTMIN + 4,
        .settings = start->settings,
        .kvm = instance->kvm,
        .devices = (const char *const *) start->devices,
        .cpus = vm->cpus_max,
        .after = (const char *const *) mounts->pdata,
    };
    start->scope_job = scope_start(vm->manager->scopes, &spec, on_scope, start, &error);
    if (!start->scope_job) {
        instance->orphan = true;
        start_fail(start, error);
    }
}

static void on_helpers(const Error *error, void *userdata)
{
    Start *start = userdata;
    if (error)
        return start_fail(start, error_copy(error));
    start->helpers_ready = true;
    if (!start->in_place)
        make_scope(start);
    go(start);
}

void start_helper_lost(Start *start)
{
    Error *error = NULL;
    g_autofree char *why = helpers_why_failed(start->instance->helpers), *thing = vm_thing(start->vm);
    error_set(&error, ERROR_FAILED, thing, NULL, "%s", why ?: "a helper of its QEMU ended");
    start_fail(start, error);
}

/* Systemd finds those that are born into its cgroup there; others it must be told of, all at once: to ask for the scope again would
 * take what is in it out of the first one. */
static void start_helpers(Start *start)
{
    start->helpers_ready = !start->instance->helpers;
    if (start->in_place || start->helpers_ready)
        make_scope(start);
    if (!start->helpers_ready && !start->error)
        helpers_start(start->instance->helpers, start->in_place, on_helpers, start);
}

/* Before the guard was there a failure could only be noted. */
static void fail_late(Start *start)
{
    Error *error = g_steal_pointer(&start->error);
    start->instance->orphan = true;
    start_fail(start, error);
}

static void on_spawned(pid_t pid, int pidfd, int r, void *userdata)
{
    Start *start = userdata;
    Instance *instance = start->instance;
    Manager *manager = start->vm->manager;
    Error *error = NULL;
    bool in_place = start->in_place;

    start->spawning = false;
    if (r >= 0)
        r = instance_watch_guard(instance, pid, pidfd);
    close_fd(&start->opened.go_read_fd);
    close_fd(&start->opened.cgroup_fd);
    close_fd(&start->opened.journal_fd);
    if (r < 0 && in_place) {
        g_autofree char *unit = vm_scope(start->vm);
        scope_cgroup_remove(manager->scopes, unit);
    }
    if (start->error)
        return fail_late(start);
    if (r == -ENODEV && in_place) { /* systemd took the cgroup of an earlier scope away at this very moment */
        r = spawn_beside(start);
        if (r >= 0)
            return;
    }
    if (r < 0)
        return cannot_spawn(start, r);

    opened_close(&start->opened);
    if (!instance_write_record(instance, &error))
        return start_fail(start, error);
    uint64_t limit = settings_get_number(start->settings, "VM", "StartTimeout");
    if (limit != USEC_INFINITY)
        (void) sd_event_add_time_relative(manager->event, &start->timer, CLOCK_MONOTONIC, limit, 1, on_start_timeout, start);
    start_helpers(start);
}

void start_launch(Start *start)
{
    g_autofree char *unit = vm_scope(start->vm);
    int r = scope_is_loaded(start->vm->manager->scopes, unit) ? -EEXIST : spawn_in_place(start, unit);
    if (r == -EEXIST)
        retry(start);
    else if (r < 0)
        cannot_spawn(start, r);
}
