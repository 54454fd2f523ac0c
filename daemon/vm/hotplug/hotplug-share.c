/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Share NAME] that comes or goes: the folder, opened as at a start, a virtiofsd for it, a chardev over their socket, the device. */

#include "cleanup.h"
#include "hotplug-kind.h"
#include "hotplug-nodes.h"
#include "manager.h"
#include "share.h"
#include "sources.h"

typedef struct HotShare {
    SourcesOpening *opening;
    MachineParts parts; /* the share, alone */
} HotShare;

static void free_own(Hotplug *hotplug)
{
    HotShare *own = hotplug->own;
    sources_abandon(own->opening);
    if (own->parts.shares) /* else there are no descriptors, of one that goes */
        sources_close(&own->parts);
}

static MachineShare *share_of(const Hotplug *hotplug)
{
    const HotShare *own = hotplug->own;
    return own->parts.shares->pdata[0];
}

static bool check_share(Hotplug *hotplug, Error **ret_error)
{
    return settings_has(hotplug->settings, hotplug->section, "Path") ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, hotplug->section, "Give it one", "it has no Path=");
}

/* ---- the host's side ---- */

static void end_helper(Hotplug *hotplug)
{
    Instance *instance = hotplug->vm->instance;
    Helper *helper = helpers_find(instance->helpers, HELPER_SHARE, hotplug->name);
    if (!helper)
        return;
    helper_remove(helper);
    (void) instance_write_record(instance, NULL);
    vm_changed(hotplug->vm, "Helpers", NULL);
}

static void on_helper(const Error *error, void *userdata)
{
    hotplug_opened(userdata, error);
}

static void on_sources(void *data, void *userdata)
{
    Hotplug *hotplug = userdata;
    HotShare *own = hotplug->own;
    g_autoptr(Error) error = NULL;
    own->opening = NULL;
    bool taken = sources_take(data, &own->parts, &error);
    Helper *helper = taken ? share_prepare(hotplug->vm->instance, share_of(hotplug), &error) : NULL;
    if (helper)
        helper_start(helper, on_helper, hotplug);
    else
        hotplug_opened(hotplug, error);
}

static bool open_share(Hotplug *hotplug, Error **ret_error)
{
    HotShare *own = hotplug->own;
    own->parts.kernel_fd = own->parts.initrd_fd = -1;
    return sources_open_one(hotplug->vm, hotplug->settings, hotplug->section, HOTPLUG_OPEN_USEC, on_sources, hotplug, &own->opening, ret_error);
}

/* ---- QEMU's ---- */

static void on_chardev(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    hotplug_added(userdata, error);
}

static int add_chardev(Hotplug *hotplug)
{
    Qmp *qmp = hotplug->vm->instance->qmp;
    MachineShare *share = share_of(hotplug);
    int r = qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", hotplug->device), share->socket_fd, 0, NULL, NULL);
    if (r < 0)
        return r;
    json_t *address = json_pack("{ss s{ss}}", "type", "fd", "data", "str", hotplug->device);
    json_t *arguments = json_pack("{ss s{ss s{so sb}}}", "id", hotplug->device, "backend", "type", "socket", "data", "addr", address, "server", 0);
    return qmp_call(qmp, "chardev-add", arguments, -1, HOTPLUG_QMP_USEC, on_chardev, hotplug);
}

/* QEMU asks for memory that others see only when it is too late for a good error. */
static void on_memory(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    int r = 0;
    if (failed || !json_is_true(result))
        error_set(&error, ERROR_UNSUPPORTED, hotplug->section, "Put it into the settings and restart the VM", "the VM's memory cannot be shared as it runs");
    else
        r = add_chardev(hotplug);
    if (r < 0)
        error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    if (error)
        hotplug_added(hotplug, error);
}

static int add_share(Hotplug *hotplug)
{
    return qmp_call(hotplug->vm->instance->qmp, "qom-get", json_pack("{ss ss}", "path", "/objects/ram", "property", "share"), -1, HOTPLUG_QMP_USEC,
        on_memory, hotplug);
}

static void on_chardev_gone(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    end_helper(hotplug);
    hotplug_removed(hotplug);
}

static int remove_chardev(Hotplug *hotplug)
{
    return qmp_call(hotplug->vm->instance->qmp, "chardev-remove", json_pack("{ss}", "id", hotplug->device), -1, HOTPLUG_QMP_USEC, on_chardev_gone,
        hotplug);
}

static json_t *make_device(Hotplug *hotplug)
{
    return machine_share_device(hotplug->name);
}

static void attached(Hotplug *hotplug)
{
    HotShare *own = hotplug->own;
    sources_close(&own->parts);
    vm_changed(hotplug->vm, "Helpers", NULL);
}

const HotplugKind hotplug_share = {
    .section = "Share",
    .device = "share",
    .size = sizeof(HotShare),
    .check = check_share,
    .open = open_share,
    .close = end_helper,
    .add = add_share,
    .remove = remove_chardev,
    .make_device = make_device,
    .attached = attached,
    .free = free_own,
};
