/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attach, step by step:               Detach:
 *
 *     vm_attach     the new text         vm_detach    device_del
 *     on_port       a tap, its fds       hotplug_event    the guest has let go
 *     on_netdev     the card, in the     on_netdev_gone   the tap is closed, and with it the port
 *     on_card       first free slot
 *     written       the file, and what is known of what runs
 */

#include "hotplug.h"

#include <string.h>

#include "instance.h"
#include "interfaces.h"
#include "machine.h"
#include "manager.h"
#include "steps.h"

#define QMP_USEC (10 * G_USEC_PER_SEC)
#define DETACH_USEC (15 * G_USEC_PER_SEC)

struct Hotplug {
    VM *vm;
    char *section, *name; /* "Network lan", "lan" */
    char *card, *netdev;  /* QEMU's names */
    char *text, *running; /* what the file, and the record of what runs, become */
    Settings *settings;   /* those of `running` */
    PortOpening *opening;
    Port *port;
    Tap tap;
    bool open;
    unsigned slot;
    sd_event_source *timer;
    VMDone done;
    void *userdata;
};

static void hotplug_free(Hotplug *hotplug)
{
    port_open_cancel(hotplug->opening);
    if (hotplug->open)
        tap_close(&hotplug->tap);
    sd_event_source_disable_unref(hotplug->timer);
    settings_free(hotplug->settings);
    g_free(hotplug->section);
    g_free(hotplug->name);
    g_free(hotplug->card);
    g_free(hotplug->netdev);
    g_free(hotplug->text);
    g_free(hotplug->running);
    g_free(hotplug);
}

static void finish(Hotplug *hotplug, const Error *error)
{
    VMDone done = hotplug->done;
    void *userdata = hotplug->userdata;
    hotplug->vm->instance->hotplug = NULL;
    hotplug_free(hotplug);
    done(error, userdata);
}

void hotplug_ended(Hotplug *hotplug)
{
    VMDone done = hotplug->done;
    void *userdata = hotplug->userdata;
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_NOT_RUNNING, hotplug->section, NULL, "the VM has ended meanwhile");
    hotplug_free(hotplug);
    done(error, userdata);
}

/* ---- the files ---- */

static bool write_file(VM *vm, const char *text, Error **ret_error)
{
    g_autofree char *path = vm_settings_path(vm);
    if (!vm_check_text(text, path, ret_error))
        return false;
    int r = settings_write(path, text, 0644, false);
    if (r < 0)
        return error_set_errno(ret_error, r, path, "it cannot be written");
    return true;
}

static bool write_both(Hotplug *hotplug, Error **ret_error)
{
    VM *vm = hotplug->vm;
    g_autofree char *path = g_build_filename(vm->instance->dir, "settings", NULL);
    if (!write_file(vm, hotplug->text, ret_error))
        return false;
    int r = settings_write(path, hotplug->running, 0600, false);
    if (r < 0)
        return error_set_errno(ret_error, r, path, "it cannot be written");
    manager_read_file(vm->manager, vm->name, vm->transient);
    vm_changed(vm, "Addresses", NULL);
    return true;
}

static char *edit(const char *path, const SettingsChange *changes, size_t n, Error **ret_error)
{
    g_autofree char *text = settings_read_text(path, ret_error);
    return text ? settings_edit(&vm_schema, text, changes, n, path, ret_error) : NULL;
}

static bool file_has_section(const char *path, const char *section)
{
    g_autofree char *text = settings_read_text(path, NULL);
    g_autoptr(Settings) settings = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, NULL) : NULL;
    return settings && settings_section_origin(settings, section);
}

/* ---- a Hotplug for a VM that runs ---- */

static Hotplug *hotplug_new(VM *vm, const char *section, const SettingsChange *changes, size_t n, Error **ret_error)
{
    g_autofree char *kind = NULL, *name = NULL, *path = vm_settings_path(vm), *running = g_build_filename(vm->instance->dir, "settings", NULL);
    if (!vm_check_idle(vm, ret_error) || !settings_section_split(&vm_schema, section, &kind, &name, ret_error))
        return NULL;
    if (!g_str_equal(kind, "Network")) {
        error_set(ret_error, ERROR_UNSUPPORTED, section, "Stop the VM first", "only network interfaces come and go while a VM runs");
        return NULL;
    }
    if (vm->instance->hotplug) {
        error_set(ret_error, ERROR_BUSY, section, "Try again", "another device is just being attached or detached");
        return NULL;
    }
    g_autofree char *text = edit(path, changes, n, ret_error), *text_running = text ? edit(running, changes, n, ret_error) : NULL;
    Settings *settings = text_running ? settings_parse_partial(&vm_schema, text_running, strlen(text_running), running, ret_error) : NULL;
    if (!settings)
        return NULL;
    Hotplug *hotplug = g_new0(Hotplug, 1);
    hotplug->vm = vm;
    hotplug->section = g_strdup(section);
    hotplug->card = g_strdup_printf("nic-%s", name);
    hotplug->netdev = g_strdup_printf("net-%s", name);
    hotplug->name = g_steal_pointer(&name);
    hotplug->text = g_steal_pointer(&text);
    hotplug->running = g_steal_pointer(&text_running);
    hotplug->settings = settings;
    vm->instance->hotplug = hotplug;
    return hotplug;
}

/* ---- attach ---- */

static void unplug_netdev(Hotplug *hotplug)
{
    (void) qmp_call(hotplug->vm->instance->qmp, "netdev_del", json_pack("{ss}", "id", hotplug->netdev), -1, 0, NULL, NULL);
}

static void attach_failed(Hotplug *hotplug, const Error *error)
{
    g_autoptr(Error) copy = error_copy(error);
    Port *port = hotplug->port;
    if (hotplug->open)
        tap_close(&hotplug->tap);
    hotplug->open = false;
    if (port)
        port_close(port);
    finish(hotplug, copy);
}

static void cannot_ask(Hotplug *hotplug, int r)
{
    g_autoptr(Error) error = NULL;
    error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    attach_failed(hotplug, error);
}

static int add_card(Hotplug *hotplug);

static void on_card(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    /* Which slots are taken nobody knows but QEMU. */
    if (failed && ++hotplug->slot < MACHINE_SLOTS && add_card(hotplug) >= 0)
        return;
    if (failed) {
        unplug_netdev(hotplug);
        return attach_failed(hotplug, failed);
    }
    tap_close(&hotplug->tap);
    hotplug->open = false;
    (void) write_both(hotplug, &error);
    finish(hotplug, error);
}

static int add_card(Hotplug *hotplug)
{
    g_autofree char *mac = NULL;
    struct ether_addr address;
    char uuid[SD_ID128_UUID_STRING_MAX];
    if (!interface_mac(sd_id128_to_uuid_string(hotplug->vm->uuid, uuid), hotplug->settings, hotplug->section, &address, NULL))
        return -EINVAL;
    mac = mac_to_string(&address);
    const char *model = settings_get_string(hotplug->settings, hotplug->section, "Model");
    bool virtio = g_str_equal(model, "virtio");
    g_autofree char *slot = g_strdup_printf(MACHINE_SLOT "%u", hotplug->slot);
    json_t *arguments = json_pack("{ss ss ss ss}", "driver", virtio ? "virtio-net-pci" : model, "id", hotplug->card, "netdev", hotplug->netdev,
        "mac", mac);
    /* Without an address QEMU takes a second device behind a port, where no guest sees it. */
    if (machine_type_is_pcie(hotplug->vm->instance->machine))
        (void) json_object_update_new(arguments, json_pack("{ss ss}", "bus", slot, "addr", "0"));
    unsigned set = (unsigned) settings_get_number(hotplug->settings, hotplug->section, "MTU"), mtu = set > 0 ? set : port_mtu(hotplug->port);
    if (virtio && mtu > 0)
        json_object_set_new(arguments, "host_mtu", json_integer(mtu));
    if (hotplug->tap.queues > 1) {
        json_object_set_new(arguments, "mq", json_true());
        json_object_set_new(arguments, "vectors", json_integer(2 * hotplug->tap.queues + 2));
    }
    return qmp_call(hotplug->vm->instance->qmp, "device_add", arguments, -1, QMP_USEC, on_card, hotplug);
}

static void on_netdev(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (error)
        return attach_failed(hotplug, error);
    int r = add_card(hotplug);
    if (r < 0)
        cannot_ask(hotplug, r);
}

/* Descriptors go first, each under a name; netdev_add then takes them by these. An error of theirs is one of its, too. */
static int send_fds(Hotplug *hotplug, const int *fds, const char *kind, GString *names)
{
    int r = 0;
    for (unsigned i = 0; r >= 0 && i < hotplug->tap.queues; i++) {
        g_autofree char *name = g_strdup_printf("%s-%s%u", hotplug->netdev, kind, i);
        g_string_append_printf(names, "%s%s", i > 0 ? ":" : "", name);
        r = qmp_call(hotplug->vm->instance->qmp, "getfd", json_pack("{ss}", "fdname", name), fds[i], 0, NULL, NULL);
    }
    return r;
}

static int add_netdev(Hotplug *hotplug)
{
    const Tap *tap = &hotplug->tap;
    bool user = !*tap->name, several = tap->queues > 1, vhost = tap->vhost_fds[0] >= 0;
    g_autoptr(GString) fds = g_string_new(NULL), vhost_fds = g_string_new(NULL);
    int r = send_fds(hotplug, tap->fds, "fd", fds);
    if (r >= 0 && vhost)
        r = send_fds(hotplug, tap->vhost_fds, "vhost", vhost_fds);
    if (r < 0)
        return r;
    json_t *arguments = json_pack("{ss ss ss}", "type", user ? "socket" : "tap", "id", hotplug->netdev, several ? "fds" : "fd", fds->str);
    if (vhost) {
        json_object_set_new(arguments, "vhost", json_true());
        json_object_set_new(arguments, several ? "vhostfds" : "vhostfd", json_string(vhost_fds->str));
    }
    return qmp_call(hotplug->vm->instance->qmp, "netdev_add", arguments, -1, QMP_USEC, on_netdev, hotplug);
}

static void on_port(Port *port, Tap *tap, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    hotplug->opening = NULL;
    if (error) {
        g_autoptr(Error) copy = error_copy(error);
        return finish(hotplug, copy);
    }
    hotplug->port = port;
    hotplug->tap = *tap;
    hotplug->open = true;
    int r = add_netdev(hotplug);
    if (r < 0)
        cannot_ask(hotplug, r);
}

bool vm_attach(VM *vm, const char *section, const SettingsChanges *changes, VMDone done, void *userdata, Error **ret_error)
{
    static const char *const default_network[] = {"default", NULL};
    const SettingsChange by_default = {.section = section, .key = "Network", .values = default_network};
    /* A section without a key would be none: an interface that names no network is on the default one. */
    bool bare = changes->n == 0 && g_str_has_prefix(section, "Network ");
    const SettingsChange *items = bare ? &by_default : changes->items;
    size_t n = bare ? 1 : changes->n;
    g_autofree char *path = vm_settings_path(vm);
    if (file_has_section(path, section))
        return error_set(ret_error, ERROR_EXISTS, section, "Give it another name, or change it by SetSettings", "the VM has one of this name");
    if (!vm->instance) {
        g_autofree char *text = edit(path, items, n, ret_error);
        if (!text || !write_file(vm, text, ret_error))
            return false;
        manager_read_file(vm->manager, vm->name, vm->transient);
        done(NULL, userdata);
        return true;
    }
    Hotplug *hotplug = hotplug_new(vm, section, items, n, ret_error);
    char uuid[SD_ID128_UUID_STRING_MAX];
    PortWish wish;
    if (!hotplug)
        return false;
    if (!interface_wish(sd_id128_to_uuid_string(vm->uuid, uuid), hotplug->settings, section, &wish, ret_error)) {
        vm->instance->hotplug = NULL;
        hotplug_free(hotplug);
        return false;
    }
    hotplug->done = done;
    hotplug->userdata = userdata;
    wish.vm = vm->name;
    wish.section = hotplug->name;
    wish.owner = vm->owner;
    hotplug->opening = port_open(vm->manager, &wish, on_port, hotplug);
    return true;
}

/* ---- detach ---- */

static void on_netdev_gone(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    (void) write_both(hotplug, &error);
    finish(hotplug, error);
}

bool hotplug_event(Hotplug *hotplug, const char *name, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    if (!g_str_equal(name, "DEVICE_DELETED") || !hotplug->timer || !device || !g_str_equal(device, hotplug->card))
        return false;
    hotplug->timer = sd_event_source_disable_unref(hotplug->timer);
    int r = qmp_call(hotplug->vm->instance->qmp, "netdev_del", json_pack("{ss}", "id", hotplug->netdev), -1, QMP_USEC, on_netdev_gone, hotplug);
    if (r < 0)
        cannot_ask(hotplug, r);
    return true;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_GUEST_UNRESPONSIVE, hotplug->section, "Try again when its operating system runs, or restart the VM",
        "the guest has not let go of the device");
    finish(hotplug, error);
    return 0;
}

static void on_device_del(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (!failed)
        return; /* goes on in hotplug_event(), or the time runs out */
    g_autoptr(Error) error = error_copy(failed);
    finish(hotplug, error);
}

bool vm_detach(VM *vm, const char *section, VMDone done, void *userdata, Error **ret_error)
{
    const SettingsChange removal = {.section = section};
    g_autofree char *path = vm_settings_path(vm);
    if (!file_has_section(path, section))
        return error_set(ret_error, ERROR_NO_SUCH_DEVICE, section, "See 'vmctl cat'; what a drop-in adds, that drop-in has to lose", "the VM's file has no such section");
    if (!vm->instance) {
        g_autofree char *text = edit(path, &removal, 1, ret_error);
        if (!text || !write_file(vm, text, ret_error))
            return false;
        manager_read_file(vm->manager, vm->name, vm->transient);
        done(NULL, userdata);
        return true;
    }
    Hotplug *hotplug = hotplug_new(vm, section, &removal, 1, ret_error);
    if (!hotplug)
        return false;
    hotplug->done = done;
    hotplug->userdata = userdata;
    int r = sd_event_add_time_relative(vm->manager->event, &hotplug->timer, CLOCK_MONOTONIC, DETACH_USEC, 1, on_timeout, hotplug);
    if (r >= 0)
        r = qmp_call(vm->instance->qmp, "device_del", json_pack("{ss}", "id", hotplug->card), -1, QMP_USEC, on_device_del, hotplug);
    if (r >= 0)
        return true;
    vm->instance->hotplug = NULL;
    hotplug_free(hotplug);
    return error_set_errno(ret_error, r, section, "QEMU cannot be asked");
}
