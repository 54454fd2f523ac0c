/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Stop and Reboot: the power button, again each interval, and a clear end at StopTimeout=. Terminate.
 *
 * A reboot is an orderly stop whose end is turned into a reset: QEMU is told to pause where it would
 * exit, and when the guest has powered itself off the machine is reset and goes on, in the same process and scope. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "helpers.h"
#include "manager.h"
#include "steps.h"
#include "value.h"

#define QMP_USEC (10 * G_USEC_PER_SEC)

struct Stop {
    VM *vm;
    Job *job;
    bool reboot;
    bool off; /* reboot: the guest is off, the reset is under way */
    VMState before;
    sd_event_source *press, *deadline;
};

static void stop_free(Stop *stop)
{
    sd_event_source_disable_unref(stop->press);
    sd_event_source_disable_unref(stop->deadline);
    g_free(stop);
}

/* The job ends and the VM goes on: given up, timed out, or rebooted. */
static void give_back(Stop *stop, VMReason reason, const char *message, const Error *error)
{
    VM *vm = stop->vm;
    Job *job = stop->job;
    VMState before = stop->before;
    vm->instance->stop = NULL;
    stop_free(stop);
    vm_set_state(vm, before, reason, message);
    job_finish(job, error);
}

static void set_shutdown_action(Stop *stop, const char *action)
{
    (void) qmp_call(stop->vm->instance->qmp, "set-action", json_pack("{ss}", "shutdown", action), -1, QMP_USEC, NULL, NULL);
}

static void press(Stop *stop)
{
    Qmp *qmp = stop->vm->instance->qmp;
    /* A paused guest hears nothing. */
    if (stop->before == VM_PAUSED)
        (void) qmp_call(qmp, "cont", NULL, -1, QMP_USEC, NULL, NULL);
    (void) qmp_call(qmp, "system_powerdown", NULL, -1, QMP_USEC, NULL, NULL);
}

static int on_press(sd_event_source *source, uint64_t usec, void *userdata)
{
    Stop *stop = userdata;
    press(stop);
    (void) sd_event_source_set_time_relative(source, stop->vm->instance->press_interval);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    Stop *stop = userdata;
    VM *vm = stop->vm;
    if (vm->instance->terminate_at_timeout && !stop->reboot) {
        instance_kill(vm->instance);
        return 0; /* the end of the instance ends the job */
    }
    g_autofree char *thing = vm_thing(vm), *limit = format_duration(vm->instance->stop_timeout);
    g_autofree char *remedy = g_strdup_printf("Look at its console, try again, or end it with 'vmctl kill %s'", vm->name);
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_GUEST_UNRESPONSIVE, thing, remedy, "the guest did not react to the power button within %s", limit);
    if (stop->reboot)
        set_shutdown_action(stop, "poweroff");
    give_back(stop, REASON_REQUESTED, "the guest did not react to the power button", error);
    return 0;
}

static void on_cancel(Job *job, void *userdata)
{
    Stop *stop = userdata;
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_CANCELLED, stop->vm->name, NULL, "the %s was cancelled; a guest that has already begun to shut down goes on with it",
        stop->reboot ? "reboot" : "stop");
    if (stop->reboot)
        set_shutdown_action(stop, "poweroff");
    give_back(stop, REASON_REQUESTED, NULL, error);
}

static Stop *stop_new(VM *vm, bool reboot)
{
    sd_event *event = vm->manager->event;
    Instance *instance = vm->instance;
    g_autofree char *path = vm_object_path(vm);
    Stop *stop = g_new0(Stop, 1);
    stop->vm = vm;
    stop->reboot = reboot;
    stop->before = vm->state;
    stop->job = job_new(vm->manager->jobs, reboot ? JOB_REBOOT : JOB_STOP, path, on_cancel, stop);
    (void) sd_event_add_time_relative(event, &stop->press, CLOCK_MONOTONIC, instance->press_interval, 0, on_press, stop);
    if (instance->stop_timeout != USEC_INFINITY)
        (void) sd_event_add_time_relative(event, &stop->deadline, CLOCK_MONOTONIC, instance->stop_timeout, 0, on_deadline, stop);
    instance->stop = stop;
    return stop;
}

bool vm_stop(VM *vm, const char **ret_job_path, Error **ret_error)
{
    if (!vm_check_stoppable(vm, ret_error))
        return false;
    Stop *stop = stop_new(vm, false);
    *ret_job_path = stop->job->path;
    vm_set_state(vm, VM_STOPPING, REASON_REQUESTED, NULL);
    press(stop);
    return true;
}

bool vm_reboot(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm_check_idle(vm, ret_error) || !helpers_check_whole(vm->instance->helpers, thing, ret_error))
        return false;
    Stop *stop = stop_new(vm, true);
    set_shutdown_action(stop, "pause");
    press(stop);
    return true;
}

static void on_reset_for_reboot(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    VM *vm = userdata;
    if (error && vm->instance && vm->instance->stop)
        give_back(vm->instance->stop, REASON_UNKNOWN, "the machine could not be reset", error);
}

bool stop_event(Stop *stop, const char *name, const json_t *data)
{
    VM *vm = stop->vm;
    Qmp *qmp = vm->instance->qmp;
    if (!stop->reboot)
        return g_str_equal(name, "STOP") || g_str_equal(name, "RESUME");

    if (g_str_equal(name, "SHUTDOWN")) {
        const char *reason = json_string_value(json_object_get(data, "reason"));
        stop->off = reason && g_str_equal(reason, "guest-shutdown");
        return true;
    }
    if (!stop->off)
        return g_str_equal(name, "RESUME");
    if (g_str_equal(name, "STOP")) {
        (void) qmp_call(qmp, "system_reset", NULL, -1, QMP_USEC, on_reset_for_reboot, vm);
        return true;
    }
    if (g_str_equal(name, "RESET")) {
        set_shutdown_action(stop, "poweroff");
        (void) qmp_call(qmp, "cont", NULL, -1, QMP_USEC, on_reset_for_reboot, vm);
        return true;
    }
    if (g_str_equal(name, "RESUME")) {
        stop->before = VM_RUNNING;
        give_back(stop, REASON_GUEST_RESET, NULL, NULL);
        return true;
    }
    return false;
}

void stop_ended(Stop *stop)
{
    Job *job = stop->job;
    VM *vm = stop->vm;
    g_autoptr(Error) error = NULL;
    if (stop->reboot) {
        g_autofree char *thing = vm_thing(vm);
        error_set(&error, ERROR_QEMU_FAILED, thing, "Start it again", "it ended instead of rebooting (%s)", vm_reason_to_string(vm->reason));
    }
    stop_free(stop);
    job_finish(job, error);
}

bool vm_terminate(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm->instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    instance_add_waiter(vm->instance, done, userdata);
    if (vm->instance->start)
        start_cancel(vm->instance->start);
    else
        instance_kill(vm->instance);
    return true;
}
