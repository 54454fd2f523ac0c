/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A start, step by step:
 *
 *     vm_start    check the settings, make the run-time folder     no waiting
 *     machined    knows of the last run's end                      mostly it does
 *     questions   what can this QEMU do, does KVM run a guest      waits only the first time
 *     on_answers  images and kernel, as the owner: descriptors     in a thread
 *                 interfaces: ports on networks, their taps        all at once
 *                 PCI devices: taken from the host's drivers      in a thread
 *                 Listen=: certificates, and the socket           vmd-spawn answers at once
 *                 UEFI: firmware and NVRAM, made at the first      in threads, once a Worker
 *     open_rest   sockets, the command line                        no waiting
 *                 and on in launch.c:
 *     launch      make the cgroup, have the guard born             vmd-spawn answers at once
 *     on_spawned  ask systemd for the scope                        no waiting
 *     (wait)      for the scope's job and for QEMU's monitor       both at once
 *     go          "cont", after a saved state has been read        running
 *
 * Where the cgroup could not be made ahead (scope.h) the guard holds QEMU back until the scope is there.
 * A failure before launch frees all that was opened. A failure after it kills the guard, and the end of
 * the instance (end.c) brings start_ended(), which answers the caller: one way out for every step. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"
#include "claims.h"
#include "cleanup.h"
#include "display-listen.h"
#include "guard.h"
#include "guard-argv.h"
#include "host-memory.h"
#include "machine.h"
#include "manager.h"
#include "name.h"
#include "pinning.h"
#include "plugs.h"
#include "share.h"
#include "spawn.h"
#include "start-internal.h"
#include "tpm.h"
#include "vsock.h"

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

void start_free(Start *start)
{
    questions_free(start->questions);
    usb_look_forget(start->vm->manager, start);
    sources_abandon(start->sources);
    interfaces_free(start->interfaces);
    passthrough_free(start->passthrough);
    g_strfreev(start->devices);
    nvram_free(start->nvram);
    machined_wait_free(start->listed);
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

void start_fail(Start *start, Error *error)
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
    g_autofree char *thing = vm_thing(start->vm);
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
    g_autofree char *words = instance_last_words(end->output), *thing = vm_thing(vm);
    /* QEMU's own words would be that it lost a socket. */
    if (!error && end->helper)
        error_set(&error, ERROR_FAILED, thing, NULL, "%s", end->helper);
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
    vm_set_state(vm, vm_failed_state(vm), REASON_START_FAILED, message);
    done(error, userdata);
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
    parts->own_pids = vm->manager->user;
    parts->memory_fds = host_memory_open(start->settings, start->build, ret_error);
    start->command = parts->memory_fds ? machine_command(parts, ret_error) : NULL;
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
    if (start->sources || (start->interfaces && !start->interfaces_open) || (start->passthrough && !start->passthrough_open) || (start->nvram && !start->nvram_open) ||
        !start->listening || start->listed || start->error)
        return;
    if (start->interfaces)
        interfaces_take(start->interfaces, &start->opened.parts);
    if (start->passthrough)
        passthrough_take(start->passthrough, &start->opened.parts);
    start->devices = guard_devices(&start->opened.parts);
    if (!open_incoming(start, &error) || !open_sockets(&start->opened, instance->dir, instance->console, &error) ||
        !bridge_prepare(instance, start->settings, start->build, &start->opened.parts, start->opened.tls_fds, &error) ||
        !tpm_prepare(instance, start->settings, &start->opened.parts, &error) || !vsock_open(instance, start->settings, &start->opened.parts, &error) ||
        !shares_prepare(instance, &start->opened.parts, &error) || !build_command(start, &error))
        return start_fail(start, error);

    /* Connected before QEMU is there: the backlog holds it, nothing polls for QEMU to come up. */
    int r = instance_connect_monitor(instance);
    if (r < 0) {
        error_set_errno(&error, r, instance->dir, "QEMU's monitor socket cannot be connected");
        return start_fail(start, error);
    }
    start_launch(start);
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

/* One of those that nothing is taken from yet. */
static void part_is_open(Start *start, bool *open, const Error *error)
{
    if (error)
        return start_fail(start, error_copy(error));
    *open = true;
    open_rest(start);
}

static void on_interfaces(const Error *error, void *userdata)
{
    Start *start = userdata;
    part_is_open(start, &start->interfaces_open, error);
}

static void on_passthrough(const Error *error, void *userdata)
{
    Start *start = userdata;
    part_is_open(start, &start->passthrough_open, error);
}

static void on_listening(const Error *error, void *userdata)
{
    Start *start = userdata;
    part_is_open(start, &start->listening, error);
}

static void on_nvram(const Error *failed, void *userdata)
{
    Start *start = userdata;
    MachineParts *parts = &start->opened.parts;
    Error *error = NULL;
    if (failed)
        return start_fail(start, error_copy(failed));
    nvram_take(start->nvram, parts);
    if (parts->nvram && !claim_disk(start->vm, NVRAM_DISK, parts->nvram->image, &error))
        return start_fail(start, error);
    start->nvram_open = true;
    open_rest(start);
}

static void on_unlisted(const Error *error, void *userdata)
{
    Start *start = userdata;
    start->listed = NULL;
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
    instance->tree = qemu_tree_ref(answers->tree);
    instance->root = g_strdup(qemu_tree_root(instance->tree));
    instance->folder = g_strdup(qemu_tree_folder(instance->tree));

    uint64_t limit = settings_get_number(start->settings, "VM", "StartTimeout");
    const char *machine = start->saved_machine ?: machine_type(start->settings, start->build, &error);
    if (!machine || !nvram_open(start->vm, start->settings, start->build, instance->tree, machine, true, on_nvram, start, &start->nvram, &error) ||
        !sources_open(start->vm, start->settings, instance->tree, instance->uid, limit, on_sources, start, &start->sources, &error) ||
        !interfaces_open(start->vm, start->settings, on_interfaces, start, &start->interfaces, &error) ||
        !passthrough_open(start->vm, start->settings, on_passthrough, start, &start->passthrough, &error) ||
        !display_listen_open(instance, start->settings, start->opened.tls_fds, on_listening, start, &error))
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
        return start->settings && usb_check_settings(start->settings, ret_error) && pinning_check(start->settings, ret_error) && host_memory_check(start->settings, ret_error);
    }
    g_autofree char *path = vm_saved_path(vm, "settings"), *machine = vm_saved_path(vm, "machine");
    start->settings = settings_load(&vm_schema, path, ret_error);
    if (start->settings && !g_file_get_contents(machine, &start->saved_machine, NULL, NULL))
        return error_set(ret_error, ERROR_FAILED, machine, "Boot it afresh after 'vmctl discard' of it", "it cannot be read");
    return start->settings && host_memory_check(start->settings, ret_error);
}

bool vm_start(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
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
    start->listed = machined_await(vm, on_unlisted, start);
    start->questions = questions_new(vm->manager, start->settings, on_answers, start);
    spawner_prepare(vm->manager->spawner);
    questions_ask(start->questions);
    return true;
}
