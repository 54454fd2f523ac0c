/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pinning.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "process.h"

#define ONLINE_CPUS "/sys/devices/system/cpu/online"

/* ---- what the settings say ---- */

typedef struct Pins {
    const Settings *settings;
    const char *thing;  /* where PinCPUs= stands */
    CpuList allowed;    /* of the host's */
    bool all_allowed;   /* AllowedCPUs= is not set */
    unsigned n;         /* virtual CPUs that there can be */
    GHashTable *lists;  /* number: CpuList */
} Pins;

static void pins_clear(Pins *pins)
{
    g_clear_pointer(&pins->lists, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pins, pins_clear)

static bool bad(const Pins *pins, const char *remedy, Error **ret_error, const char *format, ...) G_GNUC_PRINTF(4, 5);
static bool bad(const Pins *pins, const char *remedy, Error **ret_error, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *cause = g_strdup_vprintf(format, ap);
    va_end(ap);
    return error_set(ret_error, ERROR_INVALID_SETTINGS, pins->thing, remedy, "%s", cause);
}

/* What the VM may use of what the host has. */
static bool read_allowed(Pins *pins, Error **ret_error)
{
    const char *set = settings_get_string(pins->settings, "Scope", "AllowedCPUs");
    CpuList online, wanted;
    int r = cpu_list_read(ONLINE_CPUS, &online);
    if (r < 0)
        return error_set_errno(ret_error, r, ONLINE_CPUS, "it cannot be read");
    pins->allowed = online;
    pins->all_allowed = !set || cpu_list_parse(set, &wanted) < 0 || cpu_list_count(&wanted) == 0;
    if (pins->all_allowed)
        return true;
    for (size_t i = 0; i < sizeof online.bits; i++)
        pins->allowed.bits[i] = online.bits[i] & wanted.bits[i];
    return true;
}

/* The n-th virtual one on the n-th that the VM may use. */
static bool read_auto(Pins *pins, Error **ret_error)
{
    if (pins->all_allowed)
        return bad(pins, "Set AllowedCPUs= of [Scope] to those that this VM is to have, or name them here",
            ret_error, "\"auto\" takes the CPUs of AllowedCPUs=, which is not set");
    if (cpu_list_count(&pins->allowed) < pins->n) {
        g_autofree char *allowed = cpu_list_format(&pins->allowed);
        return bad(pins, "Give it more in AllowedCPUs= of [Scope], or name them here", ret_error, "there are %u virtual CPUs, and of the host's it has %s", pins->n,
            *allowed ? allowed : "none");
    }
    int cpu = -1;
    for (unsigned i = 0; i < pins->n; i++) {
        CpuList *list = g_new0(CpuList, 1);
        cpu = cpu_list_next(&pins->allowed, (unsigned) (cpu + 1));
        cpu_list_add(list, (unsigned) cpu);
        g_hash_table_insert(pins->lists, GUINT_TO_POINTER(i), list);
    }
    return true;
}

/* "0-3:4-7": each of the first ones on any of the second. */
static bool read_word(Pins *pins, const char *word, Error **ret_error)
{
    g_auto(GStrv) halves = g_strsplit(word, ":", 2);
    CpuList vcpus, cpus;
    int missing;
    if (!halves[0] || !halves[1] || cpu_list_parse(halves[0], &vcpus) < 0 || cpu_list_parse(halves[1], &cpus) < 0 || cpu_list_count(&vcpus) == 0 ||
        cpu_list_count(&cpus) == 0)
        return bad(pins, "Write virtual CPUs, a colon and CPUs of the host, such as 0:4 or 0-3:4-7, or auto alone", ret_error, "\"%s\" says nothing", word);
    missing = cpu_list_find_missing(&cpus, &pins->allowed);
    if (missing >= 0) {
        g_autofree char *allowed = cpu_list_format(&pins->allowed);
        return bad(pins, pins->all_allowed ? NULL : "Change it, or AllowedCPUs= of [Scope]", ret_error, "\"%s\" names CPU %d, and %s %s", word, missing,
            pins->all_allowed ? "the host has" : "of the host's this VM may use", *allowed ? allowed : "none");
    }
    for (int i = -1; (i = cpu_list_next(&vcpus, (unsigned) (i + 1))) >= 0;) {
        if ((unsigned) i >= pins->n)
            return bad(pins, NULL, ret_error, "\"%s\" names virtual CPU %d, and there are 0 to %u", word, i, pins->n - 1);
        if (!g_hash_table_insert(pins->lists, GUINT_TO_POINTER(i), g_memdup2(&cpus, sizeof cpus)))
            return bad(pins, NULL, ret_error, "virtual CPU %d stands there twice", i);
    }
    return true;
}

static bool read_pins(Pins *pins, const Settings *settings, Error **ret_error)
{
    const char *const *words = settings_get_words(settings, "VM", "PinCPUs");
    *pins = (Pins){
        .settings = settings,
        .thing = settings_origin(settings, "VM", "PinCPUs") ?: "PinCPUs=",
        .n = (unsigned) MAX(settings_get_number(settings, "VM", "CPUs"), settings_get_maximum(settings, "VM", "CPUs")),
        .lists = g_hash_table_new_full(NULL, NULL, NULL, g_free),
    };
    if (!words || !words[0])
        return true;
    if (!read_allowed(pins, ret_error))
        return false;
    if (g_str_equal(words[0], "auto") && !words[1])
        return read_auto(pins, ret_error);
    for (; *words; words++)
        if (!read_word(pins, *words, ret_error))
            return false;
    return true;
}

bool pinning_check(const Settings *settings, Error **ret_error)
{
    g_auto(Pins) pins = {0};
    return read_pins(&pins, settings, ret_error);
}

/* ---- what is done ---- */

typedef struct Work {
    const Pins *pins;
    uid_t uid;
    CpuList others; /* what those may use that the settings do not name: as much as QEMU's first thread */
    int failed;     /* with this error */
    unsigned vcpu;  /* the first one with which it did */
} Work;

static void pin(unsigned vcpu, pid_t thread, int dir, void *userdata)
{
    Work *work = userdata;
    const CpuList *list = g_hash_table_lookup(work->pins->lists, GUINT_TO_POINTER(vcpu));
    int r = thread_set_cpus(thread, work->uid, list ? list : &work->others);
    /* One that has just gone needs nothing. */
    if (r >= 0 || r == -ESRCH || work->failed < 0)
        return;
    work->failed = r;
    work->vcpu = vcpu;
}

static bool apply(Instance *instance, const Pins *pins, Error **ret_error)
{
    Work work = {.pins = pins, .uid = instance->uid};
    pid_t qemu = instance_read_qemu(instance);
    fd_cleanup int process = qemu > 0 ? process_open(qemu, instance->guard) : -ESRCH;
    int r = process < 0 ? process : thread_get_cpus(qemu, &work.others);
    if (r < 0)
        return error_set_errno(ret_error, r, pins->thing, "QEMU's threads cannot be found");
    process_find_vcpus(process, pin, &work);
    if (work.failed == -EINVAL)
        return error_set(ret_error, ERROR_UNSUPPORTED, pins->thing, "Look at AllowedCPUs= of vms.slice and of the slices that it is in",
            "virtual CPU %u cannot run there: its scope may use none of these", work.vcpu);
    return work.failed >= 0 || error_set_errno(ret_error, work.failed, pins->thing, "virtual CPU %u cannot be put there", work.vcpu);
}

bool pinning_begin(Instance *instance, const Settings *settings, Error **ret_error)
{
    g_auto(Pins) pins = {0};
    if (!read_pins(&pins, settings, ret_error))
        return false;
    instance->pinned = g_hash_table_size(pins.lists) > 0;
    return !instance->pinned || apply(instance, &pins, ret_error);
}

void pinning_change(Instance *instance, const Settings *settings)
{
    g_auto(Pins) pins = {0};
    g_autoptr(Error) error = NULL;
    bool was_pinned = instance->pinned, ok = read_pins(&pins, settings, &error);
    bool pinned = ok && g_hash_table_size(pins.lists) > 0;
    /* Where nobody has said anything, where they run is no business of ours. */
    if (ok && !pinned && !was_pinned)
        return;
    if (ok)
        ok = apply(instance, &pins, &error);
    if (!ok) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: where its virtual CPUs run stays as it was: %s", instance->vm->name, message);
        return;
    }
    instance->pinned = pinned;
    if (pinned != was_pinned)
        (void) instance_write_record(instance, NULL);
}
