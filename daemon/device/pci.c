/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define DEVICES "/sys/bus/pci/devices"
#define DRIVERS "/sys/bus/pci/drivers"
#define VFIO "vfio-pci"
#define RECORD "Device"
#define CLASS_BRIDGE 0x06U /* of the base class */
#define ATTRIBUTE_MAX 256

void pci_wish_free(PciWish *wish)
{
    if (!wish)
        return;
    g_free(wish->section);
    g_free(wish->address);
    g_free(wish->uuid);
    g_free(wish);
}

void pci_device_free(PciDevice *device)
{
    if (!device)
        return;
    g_free(device->section);
    g_free(device->name);
    g_free(device->path);
    g_free(device->group);
    g_free(device);
}

/* ---- what is meant ---- */

/* "0000:01:00.0", "00112233-4455-...": '0' stands for a hexadecimal digit, all else for itself. */
static bool has_form(const char *text, const char *form)
{
    size_t n = strlen(form);
    if (strlen(text) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (form[i] == '0' ? !g_ascii_isxdigit(text[i]) : text[i] != form[i])
            return false;
    return true;
}

PciWish *pci_wish_new(const char *section, const char *address, const char *device, const char *uuid, Error **ret_error)
{
    const char *see = "Write it as 'lspci -Dnn' does";
    g_autoptr(PciWish) wish = g_new0(PciWish, 1);
    wish->section = g_strdup(section);
    if (!address && !device && !uuid) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, section, "Set Address=, Device= or MediatedDevice=", "it does not say which device");
        return NULL;
    }
    if (uuid && (address || device)) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, section, "Remove one of them", "a mediated device has no address and no vendor of its own");
        return NULL;
    }
    if (address && !has_form(address, "0000:00:00.0")) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, section, see, "Address=%s is no address such as 0000:01:00.0", address);
        return NULL;
    }
    if (device && !has_form(device, "0000:0000")) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, section, see, "Device=%s is no VENDOR:PRODUCT such as 10de:1b80", device);
        return NULL;
    }
    if (device) {
        wish->has_id = true;
        wish->vendor = (uint16_t) strtoul(device, NULL, 16);
        wish->product = (uint16_t) strtoul(device + 5, NULL, 16);
    }
    wish->address = address ? g_ascii_strdown(address, -1) : NULL;
    wish->uuid = uuid ? g_ascii_strdown(uuid, -1) : NULL;
    return g_steal_pointer(&wish);
}

/* ---- sysfs ---- */

/* NULL: there is no such attribute. */
static char *read_attribute(const char *dir, const char *name)
{
    char buffer[ATTRIBUTE_MAX];
    g_autofree char *path = g_build_filename(dir, name, NULL);
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
    return n < 0 ? NULL : g_strchomp(g_strndup(buffer, (size_t) n));
}

static unsigned read_hex(const char *dir, const char *name)
{
    g_autofree char *text = read_attribute(dir, name);
    return text ? (unsigned) strtoul(text, NULL, 16) : 0;
}

static int write_attribute(const char *root, const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(*root ? root : "/", dir, name, NULL);
    fd_cleanup int fd = open(path, O_WRONLY | O_CLOEXEC | (*root ? O_TRUNC : 0));
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* "e1000e" of the link "driver"; NULL: there is none. */
static char *read_link(const char *dir, const char *name)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *target = g_file_read_link(path, NULL);
    return target ? g_path_get_basename(target) : NULL;
}

static bool meets(const PciWish *wish, const char *dir, const char *address)
{
    return (!wish->address || g_str_equal(wish->address, address)) &&
        (!wish->has_id || (read_hex(dir, "vendor") == wish->vendor && read_hex(dir, "device") == wish->product));
}

static char *record_path(const char *state, const char *name)
{
    return g_build_filename(state, name, NULL);
}

/* ---- which device that is ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* In order. */
static char **list(const char *path)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare);
    g_ptr_array_add(names, NULL);
    return (char **) g_ptr_array_steal(names, NULL);
}

/* The first that is meant and that nobody has. */
static char *find_address(const char *root, const char *state, const PciWish *wish, Error **ret_error)
{
    g_autofree char *all = g_strconcat(root, DEVICES, NULL);
    g_auto(GStrv) names = list(all);
    bool taken = false;
    for (size_t i = 0; names[i]; i++) {
        g_autofree char *dir = g_build_filename(all, names[i], NULL), *record = record_path(state, names[i]);
        if (!meets(wish, dir, names[i]))
            continue;
        if (access(record, F_OK) < 0)
            return g_strdup(names[i]);
        taken = true;
    }
    if (taken)
        error_set(ret_error, ERROR_IN_USE, wish->section, "Stop that VM first", "a VM has the PCI device that it means");
    else
        error_set(ret_error, ERROR_NO_SUCH_DEVICE, wish->section, "See 'lspci -Dnn'", "the host has no such PCI device");
    return NULL;
}

static PciDevice *find_device(const char *root, const char *state, const PciWish *wish, Error **ret_error)
{
    g_autofree char *name = wish->uuid ? g_strdup(wish->uuid) : find_address(root, state, wish, ret_error);
    if (!name)
        return NULL;
    g_autofree char *link = g_build_filename(root[0] ? root : "/", wish->uuid ? "sys/bus/mdev/devices" : DEVICES, name, NULL), *path = realpath(link, NULL);
    if (!path) {
        error_set(ret_error, ERROR_NO_SUCH_DEVICE, wish->section, "Make it with mdevctl(8)", "the host has no mediated device %s", name);
        return NULL;
    }
    g_autofree char *group = read_link(path, "iommu_group");
    if (!group) {
        error_set(ret_error, ERROR_UNSUPPORTED, wish->section,
            "Switch it on in the firmware's setup (VT-d, AMD-Vi) and, on Intel, with intel_iommu=on on the kernel's command line",
            "%s is behind no IOMMU that is switched on, and so could read and write all of the host's memory", name);
        return NULL;
    }
    PciDevice *device = g_new0(PciDevice, 1);
    device->section = g_strdup(wish->section);
    device->name = g_steal_pointer(&name);
    device->path = g_strdup(path + strlen(root));
    device->group = g_steal_pointer(&group);
    return device;
}

static bool is_mediated(const PciDevice *device)
{
    return !strchr(device->name, ':');
}

/* ---- its group ---- */

static bool is_given(const GPtrArray *devices, const char *name)
{
    for (guint i = 0; i < devices->len; i++)
        if (g_str_equal(((const PciDevice *) devices->pdata[i])->name, name))
            return true;
    return false;
}

/* The IOMMU does not tell the devices of a group apart: a guest that has one can reach what the others do, so the host must use none of them.
 * Bridges pass on what is not theirs. */
static bool check_group(const char *root, const PciDevice *device, const GPtrArray *devices, Error **ret_error)
{
    g_autofree char *path = g_strdup_printf("%s%s/iommu_group/devices", root, device->path);
    g_auto(GStrv) names = list(path);
    for (size_t i = 0; !is_mediated(device) && names[i]; i++) {
        g_autofree char *dir = g_build_filename(path, names[i], NULL), *driver = read_link(dir, "driver");
        if (is_given(devices, names[i]) || !driver || g_str_equal(driver, VFIO) || g_str_equal(driver, "pci-stub"))
            continue;
        if (read_hex(dir, "class") >> 16 == CLASS_BRIDGE)
            continue;
        g_autofree char *remedy = g_strdup_printf("Give it to the VM too, or take the driver %s away from it", driver);
        return error_set(ret_error, ERROR_INVALID_SETTINGS, device->section, remedy, "%s is in the IOMMU group %s together with %s, which the host uses",
            device->name, device->group, names[i]);
    }
    return true;
}

/* ---- drivers ---- */

static int unbind(const char *root, const char *path, const char *name)
{
    g_autofree char *dir = g_strconcat(root, path, NULL), *driver = read_link(dir, "driver");
    if (!driver)
        return 0;
    g_autofree char *place = g_build_filename(DRIVERS, driver, NULL);
    return write_attribute(root, place, "unbind", name);
}

/* `override`: the only driver that may have it; "": any. */
static int bind_to(const char *root, const char *path, const char *name, const char *override)
{
    g_autofree char *line = g_strconcat(override, "\n", NULL);
    int r = write_attribute(root, path, "driver_override", line);
    if (r >= 0)
        r = unbind(root, path, name);
    if (r >= 0)
        r = write_attribute(root, "/sys/bus/pci", "drivers_probe", name);
    return r;
}

static bool is_bound_to_vfio(const char *root, const char *path)
{
    g_autofree char *dir = g_strconcat(root, path, NULL), *driver = read_link(dir, "driver");
    return g_strcmp0(driver, VFIO) == 0;
}

static char *read_override(const char *root, const char *path)
{
    g_autofree char *dir = g_strconcat(root, path, NULL);
    char *text = read_attribute(dir, "driver_override");
    if (text && g_str_equal(text, "(null)"))
        *text = 0;
    return text ? text : g_strdup("");
}

/* ---- the record ---- */

static bool write_record(const char *root, const char *state, const char *owner, const PciDevice *device, Error **ret_error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *path = record_path(state, device->name), *override = read_override(root, device->path);
    g_key_file_set_string(record, RECORD, "Owner", owner);
    g_key_file_set_string(record, RECORD, "Path", device->path);
    g_key_file_set_string(record, RECORD, "Override", override);
    g_autofree char *text = g_key_file_to_data(record, NULL, NULL);
    fd_cleanup int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        return error_set(ret_error, ERROR_IN_USE, device->section, "Stop that VM first", "a VM has %s", device->name);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t) strlen(text))
        return error_set_errno(ret_error, errno, path, "it cannot be written");
    return true;
}

static bool take(const char *root, const char *state, const char *owner, const PciDevice *device, Error **ret_error)
{
    g_autofree char *vfio = g_strconcat(root, DRIVERS "/" VFIO, NULL);
    bool ready = is_mediated(device) || is_bound_to_vfio(root, device->path);
    if (!ready && access(vfio, F_OK) < 0)
        return error_set(ret_error, ERROR_UNSUPPORTED, device->section, "Run 'modprobe vfio-pci', and put vfio-pci into a file in /etc/modules-load.d",
            "the host's kernel has not loaded the driver " VFIO);
    if (!write_record(root, state, owner, device, ret_error))
        return false;
    if (ready)
        return true;
    int r = bind_to(root, device->path, device->name, VFIO);
    if (r < 0)
        return error_set_errno(ret_error, r, device->section, "%s cannot be taken from the host's driver", device->name);
    return is_bound_to_vfio(root, device->path) ||
        error_set(ret_error, ERROR_FAILED, device->section, "dmesg may say why", "the driver " VFIO " has not taken %s", device->name);
}

/* One that was not taken after all, or that a driver has already, is not disturbed. */
static int restore(const char *root, const char *path, const char *name, const char *override)
{
    g_autofree char *dir = g_strconcat(root, path, NULL), *driver = read_link(dir, "driver"), *line = g_strconcat(override, "\n", NULL);
    if (driver && !g_str_equal(driver, VFIO))
        return write_attribute(root, path, "driver_override", line);
    return bind_to(root, path, name, override);
}

/* An owner's: the others are not looked at. */
static void give_back_one(const char *root, const char *state, const char *owner, const char *name)
{
    g_autofree char *path = record_path(state, name);
    g_autoptr(GKeyFile) record = g_key_file_new();
    if (!g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, NULL)) {
        /* vmd was killed while it was written, before anything was changed. */
        (void) unlink(path);
        return;
    }
    g_autofree char *has = g_key_file_get_string(record, RECORD, "Owner", NULL), *device = g_key_file_get_string(record, RECORD, "Path", NULL);
    g_autofree char *override = g_key_file_get_string(record, RECORD, "Override", NULL);
    if (g_strcmp0(has, owner) != 0)
        return;
    int r = !device || !strchr(name, ':') ? 0 : restore(root, device, name, override ? override : "");
    if (r < 0 && r != -ENOENT) /* it may have been pulled out */
        g_warning("PCI device %s cannot be given back to the host: %s", name, g_strerror(-r));
    (void) unlink(path);
}

void pci_give_back(const char *root, const char *state, const char *owner)
{
    g_auto(GStrv) names = list(state);
    for (size_t i = 0; names[i]; i++)
        give_back_one(root, state, owner, names[i]);
}

GPtrArray *pci_take(const char *root, const char *state, const char *owner, const GPtrArray *wishes, Error **ret_error)
{
    g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func((GDestroyNotify) pci_device_free);
    if (g_mkdir_with_parents(state, 0700) < 0) {
        error_set_errno(ret_error, errno, state, "it cannot be made");
        return NULL;
    }
    for (guint i = 0; i < wishes->len; i++) {
        PciDevice *device = find_device(root, state, wishes->pdata[i], ret_error);
        if (!device)
            return NULL;
        if (is_given(devices, device->name)) {
            error_set(ret_error, ERROR_INVALID_SETTINGS, device->section, NULL, "two sections of this VM mean %s", device->name);
            pci_device_free(device);
            return NULL;
        }
        g_ptr_array_add(devices, device);
    }
    for (guint i = 0; i < devices->len; i++)
        if (!check_group(root, devices->pdata[i], devices, ret_error))
            return NULL;
    for (guint i = 0; i < devices->len; i++)
        if (!take(root, state, owner, devices->pdata[i], ret_error)) {
            pci_give_back(root, state, owner);
            return NULL;
        }
    return g_steal_pointer(&devices);
}

char **pci_owners(const char *state)
{
    g_autoptr(GHashTable) owners = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) names = list(state);
    for (size_t i = 0; names[i]; i++) {
        g_autofree char *path = record_path(state, names[i]);
        g_autoptr(GKeyFile) record = g_key_file_new();
        bool whole = g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, NULL);
        char *owner = whole ? g_key_file_get_string(record, RECORD, "Owner", NULL) : NULL;
        g_hash_table_add(owners, owner ? owner : g_strdup(""));
    }
    guint n;
    g_autofree char **keys = (char **) g_hash_table_get_keys_as_array(owners, &n);
    return g_strdupv(keys);
}
