/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A start, step by step:
 *
 *     vm_start    check the settings, make the run-time folder     no waiting
 *     questions   what can this QEMU do, does KVM run a guest      waits only the first time
 *     on_answers  images and kernel, as the owner: descriptors     in a thread
 *                 interfaces: ports on networks, their taps        both at once
 *     open_rest   sockets, the command line                        no waiting
 *     launch      make the cgroup, have the guard born             vmd-spawn answers at once
 *     on_spawned  ask systemd for the scope                        no waiting
 *     (wait)      for the scope's job and for QEMU's monitor       both at once
 *     go          "cont", after a saved state has been read        running
 *
 * Where the cgroup could not be made ahead (scope.h) the guard holds QEMU back until the scope is there.
 * A failure before launch() frees all that was opened. A failure after it kills the guard, and the end of
 * the instance (end.c) brings start_ended(), which answers the caller: one way out for every step. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "guard.h"
#include "guard-argv.h"
#include "instance.h"
#include "interfaces.h"
#include "live.h"
#include "machine.h"
#include "manager.h"
#include "open.h"
#include "questions.h"
#include "sources.h"
#include "spawn.h"
#include "steps.h"
#include "trays.h"
#include "value.h"

/* systemd unloads the scope of an earlier run within milliseconds of its end; a start that follows waits that long. */
#define SCOPE_RETRY_USEC (10 * 1000)
#define SCOPE_RETRIES 500
#define SCOPE_RETRIES_RESET 50

#define SAVED_FD_NAME "vmd-saved"

struct Start {
    VM *vm;
    Instance *instance;
    Settings *settings;
    Questions *questions;
    QemuBuild *build;  /* borrowed from the answers */
    SourcesOpening *sources; /* while they are being opened */
    Interfaces *interfaces; /* NULL: none */
    bool interfaces_open;
    Error *error;      /* why it fails; set once */
    VMDone done;
    void *userdata;

    bool restoring;
    Opened opened;
    char uuid[SD_ID128_UUID_STRING_MAX];
    char *saved_machine;
    int saved_fd;
    Command *command;
    int go_fd;         /* write end; -1 where QEMU was started at once */

    sd_event_source *cancel; /* start_cancel()'s */
    ScopeJob *scope_job;
    bool spawning, in_place; /* the guard is being born; into the scope's cgroup */
    bool scope_active, going;
    unsigned retries;
    sd_event_source *timer; /* the retry's, then the whole start's limit */
};

static Start *start_new(VM *vm, VMDone done, void *userdata)
{
    Start *start = g_new0(Start, 1);
    start->vm = vm;
    start->done = done;
    start->userdata = userdata;
    start->go_fd = start->saved_fd = -1;
    opened_init(&start->opened);
    return start;
}

static void start_free(Start *start)
{
    questions_free(start->questions);
    sources_abandon(start->sources);
    interfaces_free(start->interfaces);
    scope_job_forget(start->scope_job);
    sd_event_source_disable_unref(start->timer);
    sd_event_source_disable_unref(start->cancel);
    opened_close(&start->opened);
    close_fd(&start->go_fd);
    close_fd(&start->saved_fd);
    settings_free(start->settings);
    command_free(start->command);
    error_free(start->error);
    g_free(start->saved_machine);
    g_free(start);
}

/* The way out of every step. Takes the error. */
static void start_fail(Start *start, Error *error)
{
    if (start->error) {
        error_free(error);
        return;
    }
    start->error = error;
    if (start->spawning)
        return; /* goes on in on_spawned() */
    if (start->instance->guard > 0) {
        instance_kill(start->instance);
        return; /* goes on in start_ended() */
    }

    VM *vm = start->vm;
    Instance *instance = g_steal_pointer(&vm->instance);
    instance->start = NULL;
    GArray *waiters = instance_take_waiters(instance);
    g_clear_pointer(&start->interfaces, interfaces_free); /* before their ports are closed */
    instance_free(instance, true);
    InstanceEnd none = {.code = -1, .reason = (char *) "", .output = (char *) ""};
    Manager *manager = vm->manager;
    start_ended(start, &none);
    instance_tell_waiters(waiters);
    vm_settle(vm);
    manager_check_idle(manager);
}

static int on_cancel(sd_event_source *source, void *userdata)
{
    Start *start = userdata;
    Error *error = NULL;
    g_autofree char *thing = g_strdup_printf("VM \"%s\"", start->vm->name);
    error_set(&error, ERROR_CANCELLED, thing, NULL, "it was terminated while it started");
    start_fail(start, error);
    return 0;
}

/* Later: a start that still waits for its files is over at once, and the VM may be, too, while the caller goes on with it. */
void start_cancel(Start *start)
{
    if (!start->cancel)
        (void) sd_event_add_defer(start->vm->manager->event, &start->cancel, on_cancel, start);
}

void start_ended(Start *start, const InstanceEnd *end)
{
    VM *vm = start->vm;
    g_autoptr(Error) error = g_steal_pointer(&start->error);
    g_autofree char *words = instance_last_words(end->output), *thing = g_strdup_printf("VM \"%s\"", vm->name);
    if (!error && words)
        error_set(&error, ERROR_QEMU_FAILED, thing, NULL, "QEMU ended at its start: %s", words);
    if (!error && end->known && end->signal > 0)
        error_set(&error, ERROR_QEMU_FAILED, thing, NULL, "QEMU was killed by signal %d at its start", end->signal);
    if (!error && end->known)
        error_set(&error, ERROR_QEMU_FAILED, thing, NULL, "QEMU ended at its start with exit status %d and without a word", end->code);
    if (!error)
        error_set(&error, ERROR_FAILED, thing, "Look at 'journalctl -u vmd'", "vmd-guard ended at its start");

    VMDone done = start->done;
    void *userdata = start->userdata;
    start_free(start);
    g_autofree char *message = error_message(error);
    vm_set_state(vm, VM_FAILED, REASON_START_FAILED, message);
    done(error, userdata);
}

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Start *start = userdata;
    Error *error = NULL;
    g_autofree char *thing = g_strdup_printf("VM \"%s\"", start->vm->name);
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
        error_set(&error, ERROR_QEMU_FAILED, start->vm->name, "Delete the saved state to start afresh", "QEMU could not read the saved state");
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

static void go(Start *start)
{
    if (!start->scope_active || !start->instance->monitor_ready || start->going || start->error)
        return;
    start->going = true;
    int r = unplug_cables(start);
    if (r >= 0)
        r = limit_disks(start);
    if (r >= 0)
        r = start->restoring ? restore(start) : cont(start);
    if (r < 0)
        cannot_ask(start, r);
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

static void launch(Start *start);

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Start *start = userdata;
    start->timer = sd_event_source_disable_unref(start->timer);
    launch(start);
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
        go_read_fd};
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
    Error *error = NULL;
    ScopeSpec spec = {
        .unit = unit,
        .description = description,
        .pid = instance->guard,
        .stop_timeout = instance->stop_timeout,
        .kill_signal = SIGRTMIN + 4,
        .settings = start->settings,
        .kvm = instance->kvm,
        .cpus = vm->cpus,
        .after = (const char *const *) mounts->pdata,
    };
    start->scope_job = scope_start(vm->manager->scopes, &spec, on_scope, start, &error);
    if (!start->scope_job) {
        instance->orphan = true;
        start_fail(start, error);
    }
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
    make_scope(start);
}

static void launch(Start *start)
{
    g_autofree char *unit = vm_scope(start->vm);
    int r = scope_is_loaded(start->vm->manager->scopes, unit) ? -EEXIST : spawn_in_place(start, unit);
    if (r == -EEXIST)
        retry(start);
    else if (r < 0)
        cannot_spawn(start, r);
}

/* ---- open ---- */

static bool open_incoming(Start *start, Error **ret_error)
{
    if (!start->restoring)
        return true;
    g_autofree char *path = vm_saved_path(start->vm, "state");
    start->saved_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (start->saved_fd < 0)
        return error_set_errno(ret_error, errno, path, "the saved state cannot be opened");
    start->opened.parts.machine = start->saved_machine;
    start->opened.parts.incoming = true;
    return true;
}

static bool write_text(const Instance *instance, const char *name, const char *text, Error **ret_error)
{
    g_autofree char *path = g_build_filename(instance->dir, name, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be written: %s", error->message);
    return true;
}

static bool build_command(Start *start, Error **ret_error)
{
    VM *vm = start->vm;
    MachineParts *parts = &start->opened.parts;
    parts->name = vm->name;
    parts->uuid = sd_id128_to_uuid_string(vm->uuid, start->uuid);
    parts->settings = start->settings;
    parts->build = start->build;
    parts->kvm = start->instance->kvm;
    parts->io_uring = vm->manager->io_uring;
    start->command = machine_command(parts, ret_error);
    if (!start->command)
        return false;

    Instance *instance = start->instance;
    g_autofree char *text = command_to_text(start->command), *canonical = settings_canonical(start->settings, true);
    const char *machine = parts->machine ? parts->machine : machine_type(start->settings, start->build, ret_error);
    instance->machine = g_strdup(machine);
    return machine && write_text(instance, "command", text, ret_error) && write_text(instance, "settings", canonical, ret_error);
}

/* When all that is waited for is there. */
static void open_rest(Start *start)
{
    Instance *instance = start->instance;
    Error *error = NULL;
    if (start->sources || (start->interfaces && !start->interfaces_open) || start->error)
        return;
    if (start->interfaces)
        interfaces_take(start->interfaces, &start->opened.parts);
    if (!open_incoming(start, &error) || !open_sockets(&start->opened, instance->dir, instance->console, &error) ||
        !build_command(start, &error))
        return start_fail(start, error);

    /* Connected before QEMU is there: the backlog holds it, nothing polls for QEMU to come up. */
    int r = instance_connect_monitor(instance);
    if (r < 0) {
        error_set_errno(&error, r, instance->dir, "QEMU's monitor socket cannot be connected");
        return start_fail(start, error);
    }
    launch(start);
}

static void on_sources(void *data, void *userdata)
{
    Start *start = userdata;
    Error *error = NULL;
    start->sources = NULL;
    if (!sources_take(data, &start->opened.parts, &error) || !claim_disks(&start->opened, start->vm, &error))
        return start_fail(start, error);
    open_rest(start);
}

static void on_interfaces(const Error *error, void *userdata)
{
    Start *start = userdata;
    if (error)
        return start_fail(start, error_copy(error));
    start->interfaces_open = true;
    open_rest(start);
}

static void on_answers(const Answers *answers, const Error *unanswered, void *userdata)
{
    Start *start = userdata;
    Instance *instance = start->instance;
    Error *error = NULL;
    if (unanswered)
        return start_fail(start, error_copy(unanswered));
    start->build = answers->build;
    instance->kvm = answers->kvm;
    instance->accelerator_reason = g_strdup(answers->accelerator_reason);
    instance->binary = g_strdup(qemu_build_path(start->build));
    instance->version = g_strdup(qemu_build_version(start->build));

    uint64_t limit = settings_get_number(start->settings, "VM", "StartTimeout");
    if (!sources_open(start->vm, start->settings, instance->uid, limit, on_sources, start, &start->sources, &error) ||
        !interfaces_open(start->vm, start->settings, on_interfaces, start, &start->interfaces, &error))
        start_fail(start, error);
}

/* ---- check ---- */

static bool uid_is_used(const Manager *manager, uid_t uid)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        if (vm->instance && vm->instance->uid == uid)
            return true;
    }
    return false;
}

static uid_t allocate_uid(const VM *vm)
{
    if (vm->manager->user)
        return (uid_t) -1;
    unsigned n = g_str_hash(vm->name) % GUARD_UID_COUNT;
    while (uid_is_used(vm->manager, GUARD_QEMU_UIDS + 1 + n))
        n = (n + 1) % GUARD_UID_COUNT;
    return GUARD_QEMU_UIDS + 1 + n;
}

/* What was saved continues as it was, whatever its file says by now. */
static bool load_settings(Start *start, Error **ret_error)
{
    VM *vm = start->vm;
    start->restoring = vm_resting_state(vm) == VM_SAVED;
    if (!start->restoring) {
        start->settings = vm_load_settings(vm, ret_error);
        return start->settings != NULL;
    }
    g_autofree char *path = vm_saved_path(vm, "settings"), *machine = vm_saved_path(vm, "machine");
    start->settings = settings_load(&vm_schema, path, ret_error);
    if (start->settings && !g_file_get_contents(machine, &start->saved_machine, NULL, NULL))
        return error_set(ret_error, ERROR_FAILED, machine, "Delete the saved state", "it cannot be read");
    return start->settings != NULL;
}

bool vm_start(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = g_strdup_printf("VM \"%s\"", vm->name);
    if (vm->instance) {
        bool runs = vm->state == VM_RUNNING || vm->state == VM_PAUSED;
        return error_set(ret_error, runs ? ERROR_ALREADY_RUNNING : ERROR_BUSY, thing, NULL, "it is %s", vm_state_to_string(vm->state));
    }

    if (!vm_check_unworked(vm, ret_error))
        return false;
    Start *start = start_new(vm, done, userdata);
    if (!load_settings(start, ret_error)) {
        start_free(start);
        return false;
    }
    Instance *instance = instance_new(vm, ret_error);
    if (!instance) {
        start_free(start);
        return false;
    }
    instance->start = start;
    instance->uid = allocate_uid(vm);
    instance->console = !g_str_equal(settings_get_string(start->settings, "Console", "Type"), "none");
    instance->stop_timeout = settings_get_number(start->settings, "VM", "StopTimeout");
    instance->press_interval = settings_get_number(start->settings, "VM", "PowerButtonInterval");
    instance->terminate_at_timeout = g_str_equal(settings_get_string(start->settings, "VM", "StopTimeoutAction"), "terminate");
    start->instance = instance;
    vm->instance = instance;
    if (!start->restoring)
        vm_read_settings(vm);
    vm_set_state(vm, VM_STARTING, REASON_REQUESTED, NULL);
    start->questions = questions_new(vm->manager, start->settings, on_answers, start);
    spawner_prepare(vm->manager->spawner);
    questions_ask(start->questions);
    return true;
}
