/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugs.h"

#include <string.h>

#include "machine.h"
#include "manager.h"
#include "steps.h"

#define USB_KIND "USB"
#define QMP_USEC (30 * G_USEC_PER_SEC)
/* Sets of descriptors of disks are counted from 1 (machine.c) and are never as many. */
#define FIRST_SET 1000000U

/* A device that a guest has, or that QEMU is being asked to take or to let go. */
struct UsbPlug {
    VM *vm;
    char *name;        /* of [USB NAME] */
    UsbDevice *device; /* port, bus and number, and after a restart of vmd nothing else */
    bool asking, leaving; /* QEMU has not answered yet */
    UsbPlugged done;      /* of usb_await() */
    void *userdata;
};

/* What could not be opened, or QEMU did not take, is tried a few times more, whatever else happens meanwhile, and then not before it is
 * another device. */
#define TRIES_MAX 5U
#define TRY_USEC (2 * G_USEC_PER_SEC)
typedef struct Refusal {
    char *name, *why;
    unsigned bus, number, tries;
    gint64 until; /* monotonic: not again before */
} Refusal;

static void plug_free(void *userdata)
{
    UsbPlug *plug = userdata;
    if (plug->vm->instance && plug->vm->instance->qmp)
        qmp_forget(plug->vm->instance->qmp, plug);
    usb_device_free(plug->device);
    g_free(plug->name);
    g_free(plug);
}

static void refusal_free(void *userdata)
{
    Refusal *refusal = userdata;
    g_free(refusal->name);
    g_free(refusal->why);
    g_free(refusal);
}

void usb_free_plugs(Instance *instance)
{
    g_clear_pointer(&instance->usb_plugs, g_ptr_array_unref);
    g_clear_pointer(&instance->usb_refusals, g_ptr_array_unref);
}

static UsbPlug *find_plug(const Instance *instance, const char *name)
{
    for (guint i = 0; instance->usb_plugs && i < instance->usb_plugs->len; i++) {
        UsbPlug *plug = instance->usb_plugs->pdata[i];
        if (g_str_equal(plug->name, name))
            return plug;
    }
    return NULL;
}

static void tell(const Instance *instance)
{
    (void) instance_write_record(instance, NULL);
    vm_changed(instance->vm, "USBDevices", NULL);
}

/* ---- who has what ---- */

const char *usb_holder(const Manager *manager, const UsbDevice *device)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        const GPtrArray *plugs = vm->instance ? vm->instance->usb_plugs : NULL;
        for (guint i = 0; plugs && i < plugs->len; i++)
            if (usb_device_is(((const UsbPlug *) plugs->pdata[i])->device, device))
                return vm->name;
    }
    return NULL;
}

bool usb_read_wish(const Settings *settings, const char *section, UsbWish *ret, Error **ret_error)
{
    const char *origin = settings_section_origin(settings, section);
    return usb_wish_read(origin ?: section, settings_get_string(settings, section, "Port"), settings_get_string(settings, section, "Device"),
        settings_get_string(settings, section, "Serial"), ret, ret_error);
}

bool usb_check_settings(const Settings *settings, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, USB_KIND);
    UsbWish wish;
    for (size_t i = 0; sections && sections[i]; i++)
        if (!usb_read_wish(settings, sections[i], &wish, ret_error))
            return false;
    return true;
}

bool usb_is_wanted(const Settings *settings)
{
    g_autofree const char **sections = settings_sections(settings, USB_KIND);
    return sections && sections[0];
}

/* One that is meant, of those that VMs have. */
static const UsbDevice *find_taken(const Manager *manager, const UsbWish *wish)
{
    const GPtrArray *devices = usb_seen(manager);
    for (guint i = 0; devices && i < devices->len; i++)
        if (usb_wish_meets(wish, devices->pdata[i]) && usb_holder(manager, devices->pdata[i]))
            return devices->pdata[i];
    return NULL;
}

/* ---- in QEMU ---- */

static void forget_refusal(const Instance *instance, const char *name)
{
    for (guint i = instance->usb_refusals ? instance->usb_refusals->len : 0; i > 0; i--)
        if (g_str_equal(((const Refusal *) instance->usb_refusals->pdata[i - 1])->name, name))
            g_ptr_array_remove_index(instance->usb_refusals, i - 1);
}

static const Refusal *find_refusal(const Instance *instance, const char *name)
{
    for (guint i = 0; instance->usb_refusals && i < instance->usb_refusals->len; i++)
        if (g_str_equal(((const Refusal *) instance->usb_refusals->pdata[i])->name, name))
            return instance->usb_refusals->pdata[i];
    return NULL;
}

void usb_refuse(Instance *instance, const char *name, const UsbDevice *device, const char *why)
{
    const Refusal *before = find_refusal(instance, name);
    Refusal *refusal = g_new0(Refusal, 1);
    refusal->tries = before && before->bus == device->bus && before->number == device->number ? before->tries + 1 : 1;
    forget_refusal(instance, name);
    refusal->name = g_strdup(name);
    refusal->why = g_strdup(why);
    refusal->bus = device->bus;
    refusal->number = device->number;
    refusal->until = g_get_monotonic_time() + TRY_USEC;
    if (!instance->usb_refusals)
        instance->usb_refusals = g_ptr_array_new_with_free_func(refusal_free);
    g_ptr_array_add(instance->usb_refusals, refusal);
    if (refusal->tries < TRIES_MAX)
        usb_look_later(instance->vm->manager);
    if (refusal->tries > 1 && refusal->tries < TRIES_MAX)
        return;
    g_warning("VM %s: the guest does not get the USB device %s of [" USB_SECTION "%s]: %s", instance->vm->name, device->port, name, why);
}

bool usb_is_refused(const Instance *instance, const char *name, const UsbDevice *device)
{
    const Refusal *refusal = find_refusal(instance, name);
    if (!refusal || refusal->bus != device->bus || refusal->number != device->number)
        return false;
    bool waits = refusal->tries < TRIES_MAX && g_get_monotonic_time() < refusal->until;
    if (waits)
        usb_look_later(instance->vm->manager);
    return waits || refusal->tries >= TRIES_MAX;
}

static void drop(Instance *instance, UsbPlug *plug)
{
    g_ptr_array_remove(instance->usb_plugs, plug);
    tell(instance);
}

static void on_added(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    UsbPlug *plug = userdata;
    Instance *instance = plug->vm->instance;
    UsbPlugged done = plug->done;
    void *done_userdata = plug->userdata;
    plug->done = NULL;
    plug->asking = false;
    if (!error) {
        const UsbDevice *device = plug->device;
        forget_refusal(instance, plug->name);
        tell(instance);
        g_message("VM %s: the guest has the USB device %s of [" USB_SECTION "%s] (%04x:%04x %s)", plug->vm->name, device->port, plug->name, device->vendor,
            device->product, device->serial);
    } else {
        usb_refuse(instance, plug->name, plug->device, error->cause);
        drop(instance, plug);
    }
    if (done)
        done(error, done_userdata);
}

/* Both in one, since nobody asks QEMU for anything in between: it opens the set's descriptor, and then needs the set no more. */
static int add_device(Qmp *qmp, UsbPlug *plug, int fd)
{
    unsigned set = FIRST_SET + plug->device->bus * 1000 + plug->device->number;
    g_autofree char *id = g_strdup_printf("usb-%s", plug->name), *path = g_strdup_printf("/dev/fdset/%u", set);
    int r = qmp_call(qmp, "add-fd", json_pack("{si}", "fdset-id", (int) set), fd, 0, NULL, NULL);
    if (r >= 0)
        r = qmp_call(qmp, "device_add", json_pack("{ss ss ss ss}", "driver", "usb-host", "id", id, "bus", MACHINE_USB_BUS, "hostdevice", path), -1,
            QMP_USEC, on_added, plug);
    (void) qmp_call(qmp, "remove-fd", json_pack("{si}", "fdset-id", (int) set), -1, 0, NULL, NULL);
    return r;
}

void usb_plug_in(VM *vm, const char *name, const UsbDevice *device, int fd)
{
    Instance *instance = vm->instance;
    UsbPlug *plug = g_new0(UsbPlug, 1);
    plug->vm = vm;
    plug->name = g_strdup(name);
    plug->device = usb_device_copy(device);
    plug->asking = true;
    if (!instance->usb_plugs)
        instance->usb_plugs = g_ptr_array_new_with_free_func(plug_free);
    g_ptr_array_add(instance->usb_plugs, plug);
    tell(instance); /* on disk before QEMU has it, so that a vmd that comes after this one knows */
    int r = add_device(instance->qmp, plug, fd);
    if (r < 0) {
        usb_refuse(instance, name, device, g_strerror(-r));
        drop(instance, plug);
    }
}

static void on_taken_out(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    UsbPlug *plug = userdata;
    if (!error)
        return; /* goes on in usb_device_deleted() */
    plug->leaving = false;
    if (error->cause && g_str_has_suffix(error->cause, "not found"))
        drop(plug->vm->instance, plug);
}

static void take_out(const Instance *instance, UsbPlug *plug)
{
    g_autofree char *id = g_strdup_printf("usb-%s", plug->name);
    if (!plug->leaving)
        plug->leaving = qmp_call(instance->qmp, "device_del", json_pack("{ss}", "id", id), -1, QMP_USEC, on_taken_out, plug) >= 0;
}

void usb_device_deleted(Instance *instance, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    UsbPlug *plug = device && g_str_has_prefix(device, "usb-") ? find_plug(instance, device + strlen("usb-")) : NULL;
    /* Nobody else gets what comes back in a moment. */
    if (!plug || instance->usb_held)
        return;
    drop(instance, plug);
    usb_look(instance->vm->manager, NULL, NULL);
}

void usb_forget(Instance *instance, const char *name)
{
    UsbPlug *plug = find_plug(instance, name);
    forget_refusal(instance, name);
    if (plug)
        drop(instance, plug);
}

/* ---- what follows from a look ---- */

Settings *usb_settings(const VM *vm)
{
    const Instance *instance = vm->instance;
    if (!instance || !instance->qmp || !instance->monitor_ready || instance->usb_held || instance->terminating)
        return NULL;
    if (instance->start && !start_awaits_usb(instance->start))
        return NULL;
    /* What is being attached counts already, and what is being detached no more. */
    if (instance->hotplug && hotplug_is_of(instance->hotplug, USB_KIND))
        return hotplug_next_settings(instance->hotplug);
    return vm_load_current_settings(vm, NULL);
}

bool usb_has_plug(const Instance *instance, const char *name)
{
    return find_plug(instance, name) != NULL;
}

void usb_add_taken(const Instance *instance, GPtrArray *devices)
{
    for (guint i = 0; instance && instance->usb_plugs && i < instance->usb_plugs->len; i++)
        g_ptr_array_add(devices, usb_device_copy(((const UsbPlug *) instance->usb_plugs->pdata[i])->device));
}

/* An attach was under way when vmd was killed: nothing says that the device is the VM's. */
static bool is_unwanted(const Settings *settings, const UsbPlug *plug)
{
    g_autofree char *section = g_strconcat(USB_SECTION, plug->name, NULL);
    return settings && !settings_section_origin(settings, section);
}

void usb_take_out_gone(VM *vm, const GPtrArray *devices)
{
    const Instance *instance = vm->instance;
    g_autoptr(Settings) settings = instance->usb_plugs ? usb_settings(vm) : NULL;
    for (guint i = 0; instance->usb_plugs && i < instance->usb_plugs->len; i++) {
        UsbPlug *plug = instance->usb_plugs->pdata[i];
        bool there = false;
        for (guint j = 0; j < devices->len && !there; j++)
            there = usb_device_is(devices->pdata[j], plug->device);
        if (!plug->leaving && is_unwanted(settings, plug))
            take_out(instance, plug);
        if (there || plug->leaving)
            continue;
        g_warning("VM %s: the USB device %s of [" USB_SECTION "%s] has been pulled out; the guest gets it again when it is plugged in again",
            vm->name, plug->device->port, plug->name);
        take_out(instance, plug);
    }
}

void usb_await(VM *vm, const Settings *settings, const char *section, UsbPlugged done, void *userdata)
{
    const char *name = section + strlen(USB_SECTION);
    UsbPlug *plug = find_plug(vm->instance, name);
    const Refusal *refusal = find_refusal(vm->instance, name);
    const UsbDevice *taken = NULL;
    UsbWish wish;
    g_autoptr(Error) error = NULL;
    if (plug && plug->asking) {
        plug->done = done;
        plug->userdata = userdata;
        return;
    }
    if (!plug && refusal)
        error_set(&error, ERROR_QEMU_FAILED, section, NULL, "%s", refusal->why);
    else if (!plug && usb_read_wish(settings, section, &wish, &error))
        taken = find_taken(vm->manager, &wish);
    if (taken) {
        g_autofree char *thing = g_strdup_printf("USB device %s", taken->port);
        error_set(&error, ERROR_IN_USE, thing, "Detach it there first", "VM \"%s\" has it", usb_holder(vm->manager, taken));
    }
    done(error, userdata);
}

/* ---- while its memory is written down ---- */

void usb_hold(Instance *instance)
{
    instance->usb_held = true;
    for (guint i = 0; instance->usb_plugs && i < instance->usb_plugs->len; i++)
        take_out(instance, instance->usb_plugs->pdata[i]);
}

void usb_release(VM *vm)
{
    if (!vm->instance || !vm->instance->usb_held)
        return;
    vm->instance->usb_held = false;
    vm->instance->usb_first = true;
    if (vm->instance->usb_plugs) {
        g_clear_pointer(&vm->instance->usb_plugs, g_ptr_array_unref);
        tell(vm->instance);
    }
    usb_look(vm->manager, NULL, NULL);
}

/* ---- vmd comes and goes ---- */

char *usb_record(const Instance *instance)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; instance->usb_plugs && i < instance->usb_plugs->len; i++) {
        const UsbPlug *plug = instance->usb_plugs->pdata[i];
        g_string_append_printf(text, "%s%s:%s:%u:%u", i > 0 ? " " : "", plug->name, plug->device->port, plug->device->bus, plug->device->number);
    }
    return g_string_free(text, FALSE);
}

void usb_read_record(Instance *instance, const char *record)
{
    g_auto(GStrv) words = g_strsplit(record ? record : "", " ", -1);
    for (size_t i = 0; words[i]; i++) {
        g_auto(GStrv) parts = g_strsplit(words[i], ":", 4);
        if (g_strv_length(parts) != 4)
            continue;
        UsbPlug *plug = g_new0(UsbPlug, 1);
        plug->vm = instance->vm;
        plug->name = g_strdup(parts[0]);
        plug->device = g_new0(UsbDevice, 1);
        plug->device->port = g_strdup(parts[1]);
        plug->device->bus = (unsigned) g_ascii_strtoull(parts[2], NULL, 10);
        plug->device->number = (unsigned) g_ascii_strtoull(parts[3], NULL, 10);
        if (!instance->usb_plugs)
            instance->usb_plugs = g_ptr_array_new_with_free_func(plug_free);
        g_ptr_array_add(instance->usb_plugs, plug);
    }
}

static bool is_listed(const json_t *list, const UsbPlug *plug)
{
    g_autofree char *id = g_strdup_printf("usb-%s", plug->name);
    size_t i;
    json_t *item;
    json_array_foreach((json_t *) list, i, item)
        if (g_strcmp0(json_string_value(json_object_get(item, "name")), id) == 0)
            return true;
    return false;
}

static void on_list(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    VM *vm = userdata;
    GPtrArray *plugs = vm->instance->usb_plugs;
    for (guint i = plugs && !error ? plugs->len : 0; i > 0; i--)
        if (!is_listed(result, plugs->pdata[i - 1]))
            drop(vm->instance, plugs->pdata[i - 1]);
    g_autoptr(Settings) settings = vm_load_current_settings(vm, NULL);
    if (plugs || (settings && usb_is_wanted(settings)))
        usb_look(vm->manager, NULL, NULL);
}

void usb_recover(VM *vm)
{
    (void) qmp_call(vm->instance->qmp, "qom-list", json_pack("{ss}", "path", "/machine/peripheral"), -1, QMP_USEC, on_list, vm);
}

void usb_instance_ended(Instance *instance)
{
    GPtrArray *plugs = instance->usb_plugs;
    for (guint i = 0; plugs && i < plugs->len; i++)
        usb_give_back(instance->vm->manager, usb_device_copy(((const UsbPlug *) plugs->pdata[i])->device));
    /* Another VM may wait for one of them. */
    if (plugs && plugs->len > 0)
        usb_look(instance->vm->manager, NULL, NULL);
    usb_free_plugs(instance);
}

/* ---- to be shown ---- */

static void view_free(void *userdata)
{
    UsbView *view = userdata;
    g_free(view->name);
    g_free(view->port);
    g_free(view->problem);
    g_free(view);
}

static char *problem_of(const VM *vm, const Settings *settings, const char *section)
{
    const Refusal *refusal = find_refusal(vm->instance, section + strlen(USB_SECTION));
    UsbWish wish;
    if (refusal)
        return g_strdup(refusal->why);
    const UsbDevice *taken = usb_read_wish(settings, section, &wish, NULL) ? find_taken(vm->manager, &wish) : NULL;
    return taken ? g_strdup_printf("VM \"%s\" has it", usb_holder(vm->manager, taken)) : g_strdup("it is not plugged in");
}

GPtrArray *usb_view(const VM *vm)
{
    GPtrArray *views = g_ptr_array_new_with_free_func(view_free);
    g_autoptr(Settings) settings = vm->instance ? vm_load_current_settings(vm, NULL) : NULL;
    g_autofree const char **sections = settings ? settings_sections(settings, USB_KIND) : NULL;
    for (size_t i = 0; sections && sections[i]; i++) {
        UsbView *view = g_new0(UsbView, 1);
        view->name = g_strdup(sections[i] + strlen(USB_SECTION));
        const UsbPlug *plug = find_plug(vm->instance, view->name);
        bool there = plug && !plug->asking && !plug->leaving;
        view->port = g_strdup(there ? plug->device->port : "");
        view->problem = there ? g_strdup("") : problem_of(vm, settings, sections[i]);
        g_ptr_array_add(views, view);
    }
    return views;
}
