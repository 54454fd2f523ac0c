/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usb.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

#define DEVICES "/sys/bus/usb/devices"
#define CLASS_HUB 9
/* A string descriptor has at most 126 characters of UTF-16. */
#define ATTRIBUTE_MAX 512
#define DEVICES_MAX 1024U
#define INTERFACES_MAX 32

void usb_device_free(UsbDevice *device)
{
    if (!device)
        return;
    g_free(device->port);
    g_free(device->serial);
    g_free(device->maker);
    g_free(device->model);
    g_free(device);
}

UsbDevice *usb_device_copy(const UsbDevice *device)
{
    UsbDevice *copy = g_memdup2(device, sizeof *device);
    copy->port = g_strdup(device->port);
    copy->serial = g_strdup(device->serial);
    copy->maker = g_strdup(device->maker);
    copy->model = g_strdup(device->model);
    return copy;
}

bool usb_device_is(const UsbDevice *a, const UsbDevice *b)
{
    return a->bus == b->bus && a->number == b->number && g_str_equal(a->port, b->port);
}

/* ---- sysfs ---- */

/* One line of valid text without control characters; NULL: there is no such attribute. */
static char *read_attribute(int dir, const char *name)
{
    char buffer[ATTRIBUTE_MAX];
    fd_cleanup int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
    if (n < 0)
        return NULL;
    char *text = g_utf8_make_valid(buffer, n);
    for (char *p = text; *p; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            memset(p, ' ', (size_t) (g_utf8_next_char(p) - p));
    return g_strstrip(text);
}

static bool read_number(int dir, const char *name, unsigned base, unsigned max, unsigned *ret)
{
    g_autofree char *text = read_attribute(dir, name);
    guint64 value;
    if (!text || !g_ascii_string_to_unsigned(text, base, 0, max, &value, NULL))
        return false;
    *ret = (unsigned) value;
    return true;
}

static bool read_node(int dir, UsbDevice *device)
{
    g_autofree char *text = read_attribute(dir, "dev");
    return text && sscanf(text, "%u:%u", &device->major, &device->minor) == 2;
}

/* "1-2.3": a bus, and a port of each hub on the way. */
static bool is_port(const char *name)
{
    const char *p = name;
    for (char separator = '-';; separator = '.') {
        const char *digits = p;
        while (g_ascii_isdigit(*p))
            p++;
        if (p == digits || p - digits > 3)
            return false;
        if (!*p)
            return separator == '.';
        if (*p++ != separator)
            return false;
    }
}

static UsbDevice *read_device(int devices, const char *name)
{
    g_autoptr(UsbDevice) device = g_new0(UsbDevice, 1);
    unsigned kind, vendor, product;
    fd_cleanup int dir = is_port(name) ? openat(devices, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (dir < 0 || !read_number(dir, "bDeviceClass", 16, 255, &kind) || kind == CLASS_HUB)
        return NULL;
    if (!read_number(dir, "idVendor", 16, UINT16_MAX, &vendor) || !read_number(dir, "idProduct", 16, UINT16_MAX, &product) ||
        !read_number(dir, "busnum", 10, 999, &device->bus) || !read_number(dir, "devnum", 10, 999, &device->number) || !read_node(dir, device))
        return NULL;
    device->port = g_strdup(name);
    device->vendor = (uint16_t) vendor;
    device->product = (uint16_t) product;
    device->serial = read_attribute(dir, "serial") ?: g_strdup("");
    device->maker = read_attribute(dir, "manufacturer") ?: g_strdup("");
    device->model = read_attribute(dir, "product") ?: g_strdup("");
    return g_steal_pointer(&device);
}

/* "1-10" comes after "1-9". */
static int compare(const void *a, const void *b)
{
    const char *left = (*(const UsbDevice *const *) a)->port, *right = (*(const UsbDevice *const *) b)->port;
    while (*left && *right) {
        char *after_left, *after_right;
        unsigned long l = strtoul(left, &after_left, 10), r = strtoul(right, &after_right, 10);
        if (l != r)
            return l < r ? -1 : 1;
        left = *after_left ? after_left + 1 : after_left;
        right = *after_right ? after_right + 1 : after_right;
    }
    return (*left != 0) - (*right != 0);
}

GPtrArray *usb_devices(const char *root)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify) usb_device_free);
    g_autofree char *path = g_strconcat(root, DEVICES, NULL);
    g_autoptr(GDir) names = g_dir_open(path, 0, NULL);
    fd_cleanup int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *name;
    while (names && dir >= 0 && found->len < DEVICES_MAX && (name = g_dir_read_name(names))) {
        UsbDevice *device = read_device(dir, name);
        if (device)
            g_ptr_array_add(found, device);
    }
    g_ptr_array_sort(found, compare);
    return found;
}

/* ---- which one ---- */

static bool read_id(const char *text, UsbWish *wish)
{
    unsigned values[2];
    if (strlen(text) != strlen("0951:1666") || text[4] != ':')
        return false;
    for (size_t i = 0; i < 9; i++)
        if (i != 4 && !g_ascii_isxdigit(text[i]))
            return false;
    (void) sscanf(text, "%x:%x", &values[0], &values[1]);
    wish->has_id = true;
    wish->vendor = (uint16_t) values[0];
    wish->product = (uint16_t) values[1];
    return true;
}

bool usb_wish_read(const char *thing, const char *port, const char *device, const char *serial, UsbWish *ret, Error **ret_error)
{
    UsbWish wish = {.port = port, .serial = serial};
    if (!port && !device && !serial)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Set Port=, Device= or Serial=, as 'vmctl usb list' shows them",
            "it does not say which device");
    if (port && !is_port(port))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Write it as 'vmctl usb list' does, such as 1-2 or 1-2.3",
            "Port=%s is no port of a USB bus", port);
    if (device && !read_id(device, &wish))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Write it as 'vmctl usb list' does, such as 0951:1666",
            "Device=%s is no VENDOR:PRODUCT", device);
    *ret = wish;
    return true;
}

bool usb_wish_meets(const UsbWish *wish, const UsbDevice *device)
{
    return (!wish->port || g_str_equal(wish->port, device->port)) && (!wish->serial || g_str_equal(wish->serial, device->serial)) &&
        (!wish->has_id || (wish->vendor == device->vendor && wish->product == device->product));
}

/* ---- the node ---- */

/* Numbers of devices that went are given to others, so what was opened must still be what sysfs said. */
int usb_device_open(const char *root, const UsbDevice *device)
{
    g_autofree char *path = g_strdup_printf("%s/dev/bus/usb/%03u/%03u", root, device->bus, device->number);
    g_autofree char *devices = g_strconcat(root, DEVICES, NULL);
    struct stat st;
    fd_cleanup int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK), dir = -1;
    if (fd < 0)
        return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
    if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(device->major, device->minor))
        return -ENODEV;
    dir = open(devices, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_autoptr(UsbDevice) now = dir < 0 ? NULL : read_device(dir, device->port);
    bool same = now && now->bus == device->bus && now->number == device->number && now->vendor == device->vendor &&
        now->product == device->product && g_str_equal(now->serial, device->serial);
    return same ? steal_fd(&fd) : -ENODEV;
}

void usb_device_give_back(const char *root, const UsbDevice *device)
{
    fd_cleanup int fd = usb_device_open(root, device);
    for (int i = 0; fd >= 0 && i < INTERFACES_MAX; i++) {
        struct usbdevfs_ioctl command = {.ifno = i, .ioctl_code = (int) USBDEVFS_CONNECT};
        (void) ioctl(fd, USBDEVFS_IOCTL, &command);
    }
}
