/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager-qemu.h"

#include "cleanup.h"
#include "inventory.h"

/* What a build can do, in words, for people and for programs that choose one: each by the device, chardev, machine or option that stands for it. */
static const struct {
    const char *word, *device, *chardev, *machine, *option;
} capabilities[] = {
    {"xen", .machine = "xenpv"},
    {"spice", .option = "spice"},
    {"vnc", .option = "vnc"},
    {"dbus-display", .chardev = "chardev-dbus"},
    {"usb-redirection", .device = "usb-redir"},
    {"usb-host", .device = "usb-host"},
    {"tpm", .device = "tpm-crb"},
    {"tpm", .device = "tpm-tis-device"},
    {"virtiofs", .device = "vhost-user-fs-pci"},
    {"vsock", .device = "vhost-vsock-pci"},
    {"sandbox", .option = "sandbox"},
};

static bool has(const QemuBuild *build, size_t i)
{
    return (capabilities[i].device && qemu_build_has_device(build, capabilities[i].device)) ||
        (capabilities[i].chardev && qemu_build_has_chardev(build, capabilities[i].chardev)) ||
        (capabilities[i].machine && qemu_build_has_machine(build, capabilities[i].machine)) ||
        (capabilities[i].option && qemu_build_has_option(build, capabilities[i].option));
}

static int append_capabilities(sd_bus_message *reply, const QemuBuild *build)
{
    const char *last = NULL;
    int r = sd_bus_message_open_container(reply, 'a', "s");
    if (r >= 0 && build && qemu_build_has_kvm(build))
        r = sd_bus_message_append(reply, "s", "kvm");
    for (size_t i = 0; r >= 0 && build && i < G_N_ELEMENTS(capabilities); i++)
        if (has(build, i) && g_strcmp0(last, capabilities[i].word) != 0)
            r = sd_bus_message_append(reply, "s", last = capabilities[i].word);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_item(sd_bus_message *reply, const InventoryItem *item)
{
    const QemuBuild *build = item->build;
    int r = sd_bus_message_open_container(reply, 'r', "ssssass");
    if (r >= 0)
        r = sd_bus_message_append(reply, "ssss", item->path ?: "", build ? qemu_build_version(build) : "", build ? qemu_build_target(build) : "", item->root ?: "");
    if (r >= 0)
        r = append_capabilities(reply, build);
    if (r >= 0)
        r = sd_bus_message_append(reply, "s", item->problem ?: "");
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static void on_inventory(const GPtrArray *items, const Error *failed, void *userdata)
{
    LaterReply *later = userdata;
    Manager *manager = later->manager;
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(Error) error = NULL;
    int r = failed ? 0 : reply_array_new(later->message, "(ssssass)", &reply);
    for (guint i = 0; r >= 0 && !failed && i < items->len; i++)
        r = append_item(reply, items->pdata[i]);
    if (failed)
        reply_error(later->message, failed);
    else if (!reply_array_send(reply, r, &error))
        reply_error(later->message, error);
    reply_later_free(later);
    manager_check_idle(manager);
}

bool method_list_qemus(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    if (inventory_take(manager, on_inventory, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}
