/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scale.h"

#include <inttypes.h>
#include <string.h>

#include "machine.h"
#include "manager.h"
#include "pinning.h"
#include "steps.h"

#define QMP_USEC (30 * G_USEC_PER_SEC)

/* How often it is looked whether the guest has let go of a CPU, and after how many times it is told again: one that was busy may not
 * have heard it. QEMU's event may come half a minute later than that. */
#define LOOK_USEC (G_USEC_PER_SEC / 2)
#define LOOKS_MAX 120U
#define LOOKS_BETWEEN 8U

#define MORE_PATH "/machine/peripheral/" MACHINE_MORE_MEMORY

struct Scale {
    VM *vm;
    uint64_t cpus, memory;         /* wanted; 0: they stay */
    uint64_t cpus_max, memory_max; /* of the VM that runs; 0: it has no such */
    unsigned steps;                /* that are left: nobody keeps this going by what he says */
    bool again;                    /* the file has changed meanwhile */
    char *leaving;                 /* QOM path of the CPU that the guest is to let go of */
    unsigned looks;                /* whether it has */
    sd_event_source *timer;
};

void scale_free(Scale *scale)
{
    if (!scale)
        return;
    if (scale->vm->instance && scale->vm->instance->qmp)
        qmp_forget(scale->vm->instance->qmp, scale);
    sd_event_source_disable_unref(scale->timer);
    g_free(scale->leaving);
    g_free(scale);
}

/* ---- the end ---- */

static char *format_range(uint64_t number, uint64_t maximum)
{
    return maximum > 0 ? g_strdup_printf("%" PRIu64 "/%" PRIu64, number, maximum) : g_strdup_printf("%" PRIu64, number);
}

/* What it runs with now. */
static bool write_running(const Scale *scale, Error **ret_error)
{
    const VM *vm = scale->vm;
    g_autofree char *path = instance_settings_path(vm->instance), *text = settings_read_text(path, ret_error);
    g_autofree char *cpus = format_range(vm->cpus, scale->cpus_max), *memory = format_range(vm->memory, scale->memory_max);
    const char *const cpus_values[] = {cpus, NULL}, *const memory_values[] = {memory, NULL};
    SettingsChange changes[2];
    size_t n = 0;
    if (scale->cpus > 0)
        changes[n++] = (SettingsChange){.section = "VM", .key = "CPUs", .values = cpus_values};
    if (scale->memory > 0)
        changes[n++] = (SettingsChange){.section = "VM", .key = "Memory", .values = memory_values};
    g_autofree char *edited = text ? settings_edit(&vm_schema, text, changes, n, path, ret_error) : NULL;
    int r = edited ? settings_write(path, edited, 0600, false) : 0;
    return edited && (r >= 0 || error_set_errno(ret_error, r, path, "it cannot be written"));
}

static void finish(Scale *scale, const Error *failed)
{
    VM *vm = scale->vm;
    g_autoptr(Error) error = NULL;
    bool again = scale->again;
    if (failed)
        g_warning("VM %s: its CPUs or memory stay as they are until its next start: %s", vm->name, failed->cause);
    if (!write_running(scale, &error))
        g_warning("VM %s: %s", vm->name, error->cause);
    vm->instance->scale = NULL;
    scale_free(scale);
    g_autoptr(Settings) settings = vm_load_settings(vm, NULL);
    if (settings)
        pinning_change(vm->instance, settings);
    (void) instance_write_record(vm->instance, NULL);
    vm_changed(vm, "CPUs", "Memory", NULL);
    if (again)
        vm_read_settings(vm);
    else
        vm_compare_settings(vm);
}

static void G_GNUC_PRINTF(2, 3) fail(Scale *scale, const char *format, ...)
{
    g_autoptr(Error) error = NULL;
    va_list ap;
    va_start(ap, format);
    g_autofree char *cause = g_strdup_vprintf(format, ap);
    va_end(ap);
    error_set(&error, ERROR_FAILED, scale->vm->name, NULL, "%s", cause);
    finish(scale, error);
}

static void ask(Scale *scale, const char *command, json_t *arguments, QmpReply reply)
{
    if (scale->steps-- == 0) {
        json_decref(arguments);
        return fail(scale, "QEMU does not do what it is told");
    }
    int r = qmp_call(scale->vm->instance->qmp, command, arguments, -1, QMP_USEC, reply, scale);
    if (r < 0)
        fail(scale, "QEMU cannot be asked: %s", g_strerror(-r));
}

/* ---- memory ---- */

static void on_memory_set(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Scale *scale = userdata;
    if (error)
        return finish(scale, error);
    scale->vm->memory = scale->memory;
    scale->vm->instance->replugged = true;
    finish(scale, NULL);
}

/* What it was started with it keeps. */
static void on_memory(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Scale *scale = userdata;
    json_int_t base = json_integer_value(json_object_get(result, "base-memory"));
    if (error)
        return finish(scale, error);
    if (base <= 0 || (uint64_t) base > scale->memory)
        return fail(scale, "it was started with more memory");
    uint64_t more = (scale->memory - (uint64_t) base) / MACHINE_MEMORY_BLOCK * MACHINE_MEMORY_BLOCK;
    ask(scale, "qom-set", json_pack("{ss ss sI}", "path", MORE_PATH, "property", "requested-size", "value", (json_int_t) more), on_memory_set);
}

static void scale_memory(Scale *scale)
{
    if (scale->memory > 0)
        ask(scale, "query-memory-size-summary", NULL, on_memory);
    else
        finish(scale, NULL);
}

/* ---- CPUs ---- */

/* Where a CPU is, as a number that grows from the first to the last. */
static uint64_t place(const json_t *cpu)
{
    static const char *const levels[] = {"socket-id", "die-id", "cluster-id", "core-id", "thread-id"};
    const json_t *props = json_object_get(cpu, "props");
    uint64_t number = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
        number = number << 12 | ((uint64_t) json_integer_value(json_object_get(props, levels[i])) & 0xfff);
    return number;
}

/* Of those that are there the last, of those that are not the first; NULL: none. *ret_n: how many are there. */
static const json_t *find_cpu(const json_t *cpus, bool there, uint64_t *ret_n)
{
    const json_t *found = NULL;
    size_t i;
    json_t *cpu;
    *ret_n = 0;
    json_array_foreach((json_t *) cpus, i, cpu) {
        bool is_there = json_is_string(json_object_get(cpu, "qom-path"));
        *ret_n += is_there;
        if (is_there == there && (!found || (there ? place(cpu) > place(found) : place(cpu) < place(found))))
            found = cpu;
    }
    return found;
}

static void ask_cpus(Scale *scale);

static void on_plugged(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Scale *scale = userdata;
    if (error)
        return finish(scale, error);
    ask_cpus(scale);
}

static void plug(Scale *scale, const json_t *cpu)
{
    const char *type = json_string_value(json_object_get(cpu, "type"));
    if (!type)
        return fail(scale, "its QEMU has no CPU that could come");
    g_autofree char *id = g_strdup_printf("cpu-%" PRIu64, place(cpu));
    json_t *arguments = json_pack("{ss ss}", "driver", type, "id", id);
    (void) json_object_update_missing(arguments, json_object_get(cpu, "props"));
    ask(scale, "device_add", arguments, on_plugged);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    Scale *scale = userdata;
    scale->steps++;
    ask_cpus(scale);
    return 0;
}

static void on_leaving(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Scale *scale = userdata;
    if (error && scale->looks <= 1)
        finish(scale, error);
}

/* Tells the guest to let go of it, and looks again later. */
static void unplug(Scale *scale, const json_t *cpu)
{
    const char *path = json_string_value(json_object_get(cpu, "qom-path"));
    int r = 0;
    if (g_strcmp0(path, scale->leaving) != 0) {
        g_free(scale->leaving);
        scale->leaving = g_strdup(path);
        scale->looks = 0;
    }
    if (scale->looks >= LOOKS_MAX)
        return fail(scale, "the guest has not let go of a CPU");
    if (scale->looks++ % LOOKS_BETWEEN == 0)
        r = qmp_call(scale->vm->instance->qmp, "device_del", json_pack("{ss}", "id", path), -1, QMP_USEC, on_leaving, scale);
    scale->timer = sd_event_source_disable_unref(scale->timer);
    if (r >= 0)
        r = sd_event_add_time_relative(scale->vm->manager->event, &scale->timer, CLOCK_MONOTONIC, LOOK_USEC, 1, on_look, scale);
    if (r < 0)
        fail(scale, "QEMU cannot be asked: %s", g_strerror(-r));
}

bool scale_event(Scale *scale, const char *name, const json_t *data)
{
    const char *path = json_string_value(json_object_get(data, "path"));
    if (!path || g_strcmp0(path, scale->leaving) != 0 || !g_str_equal(name, "DEVICE_UNPLUG_GUEST_ERROR"))
        return false;
    fail(scale, "the guest does not let go of a CPU");
    return true;
}

static void on_cpus(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Scale *scale = userdata;
    uint64_t n;
    if (error)
        return finish(scale, error);
    scale->timer = sd_event_source_disable_unref(scale->timer);
    const json_t *free_one = find_cpu(result, false, &n), *last = find_cpu(result, true, &n);
    if (n > 0 && n <= scale->cpus_max) {
        scale->vm->instance->replugged |= n != scale->vm->cpus;
        scale->vm->cpus = (uint32_t) n;
    }
    if (n == scale->cpus)
        scale_memory(scale);
    else if (n < scale->cpus && free_one)
        plug(scale, free_one);
    else if (n > scale->cpus && last)
        unplug(scale, last);
    else
        fail(scale, "its QEMU has no CPU that could come");
}

/* Each time anew: what there is only QEMU knows. */
static void ask_cpus(Scale *scale)
{
    ask(scale, "query-hotpluggable-cpus", NULL, on_cpus);
}

/* ---- the beginning ---- */

/* What `settings` want of a key, where it is another number than the VM runs with and one that it can have; else 0. */
static uint64_t wanted(const Settings *settings, const Settings *running, const char *key)
{
    uint64_t number = settings_get_number(settings, "VM", key);
    return number != settings_get_number(running, "VM", key) && number <= settings_get_maximum(running, "VM", key) ? number : 0;
}

void vm_scale(VM *vm, const Settings *settings, const Settings *running)
{
    uint64_t cpus = wanted(settings, running, "CPUs"), memory = wanted(settings, running, "Memory");
    g_autoptr(Error) error = NULL;
    /* QEMU 7.2 dies of the end of a CPU that it emulates itself. */
    if (cpus > 0 && cpus < vm->cpus && !vm->instance->kvm) {
        g_message("VM %s: under TCG no CPU goes; it will have %" PRIu64 " from its next start on", vm->name, cpus);
        cpus = 0;
    }
    if (vm->instance->scale)
        vm->instance->scale->again = true;
    /* Of a VM that vmd has just found again its file is read once more when QEMU has answered. */
    if (vm->instance->scale || !vm->instance->monitor_ready || (cpus == 0 && memory == 0))
        return;
    if (!vm_check_idle(vm, &error)) {
        g_warning("VM %s: its CPUs or memory stay as they are: %s", vm->name, error->cause);
        return;
    }
    Scale *scale = vm->instance->scale = g_new(Scale, 1);
    *scale = (Scale){
        .vm = vm,
        .cpus = cpus,
        .memory = memory,
        .cpus_max = settings_get_maximum(running, "VM", "CPUs"),
        .memory_max = settings_get_maximum(running, "VM", "Memory"),
        .steps = 4 + 2 * (vm->cpus_max + 1),
    };
    if (cpus > 0)
        ask_cpus(scale);
    else
        scale_memory(scale);
}
