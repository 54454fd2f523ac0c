/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* USB devices in a sysfs of the test's own, as kernels write it and as devices might want it to be. */
#include "usb.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fake-root.h"

typedef struct Fixture {
    char *root;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    f->root = g_dir_make_tmp("vmd-usb-XXXXXX", NULL);
    g_assert_nonnull(f->root);
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    remove_tree(f->root);
    g_free(f->root);
}

static void write_to(const Fixture *f, const char *device, const char *attribute, const char *text, gssize length)
{
    g_autofree char *dir = g_build_filename(f->root, "sys/bus/usb/devices", device, NULL), *path = g_build_filename(dir, attribute, NULL);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, length, NULL));
}

static void add(const Fixture *f, const char *port, const char *class, const char *vendor, const char *product, const char *bus, const char *number)
{
    const char *attributes[][2] = {{"bDeviceClass", class}, {"idVendor", vendor}, {"idProduct", product}, {"busnum", bus}, {"devnum", number}, {"dev", "189:4"}};
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        g_autofree char *line = g_strconcat(attributes[i][1], "\n", NULL);
        write_to(f, port, attributes[i][0], line, -1);
    }
}

static void expect_ports(const Fixture *f, const char *wanted)
{
    g_autoptr(GPtrArray) devices = usb_devices(f->root);
    g_autoptr(GString) ports = g_string_new(NULL);
    for (guint i = 0; i < devices->len; i++)
        g_string_append_printf(ports, "%s%s", i > 0 ? " " : "", ((const UsbDevice *) devices->pdata[i])->port);
    g_assert_cmpstr(ports->str, ==, wanted);
}

static void lists_devices_in_order(Fixture *f, gconstpointer unused)
{
    expect_ports(f, "");
    add(f, "1-10", "00", "0951", "1666", "1", "12");
    add(f, "1-2", "ef", "046d", "c52b", "1", "5");
    add(f, "1-2.3", "00", "0951", "1666", "1", "6");
    add(f, "2-1", "00", "1d6b", "0104", "2", "2");
    add(f, "usb1", "09", "1d6b", "0002", "1", "1");
    add(f, "1-3", "09", "05e3", "0608", "1", "3"); /* a hub */
    write_to(f, "1-2:1.0", "bInterfaceClass", "03\n", -1);
    expect_ports(f, "1-2 1-2.3 1-10 2-1");

    write_to(f, "1-2.3", "serial", "60A44C413A93E2B0\n", -1);
    write_to(f, "1-2.3", "manufacturer", "Kingston\n", -1);
    write_to(f, "1-2.3", "product", "DataTraveler 3.0\n", -1);
    g_autoptr(GPtrArray) devices = usb_devices(f->root);
    const UsbDevice *plain = devices->pdata[0], *stick = devices->pdata[1];
    g_assert_cmpstr(plain->serial, ==, "");
    g_assert_cmpstr(stick->serial, ==, "60A44C413A93E2B0");
    g_assert_cmpstr(stick->maker, ==, "Kingston");
    g_assert_cmpstr(stick->model, ==, "DataTraveler 3.0");
    g_assert_cmphex(stick->vendor, ==, 0x0951);
    g_assert_cmphex(stick->product, ==, 0x1666);
    g_assert_cmpuint(stick->bus, ==, 1);
    g_assert_cmpuint(stick->number, ==, 6);
}

static void passes_over_what_is_none(Fixture *f, gconstpointer unused)
{
    static const char *const names[] = {"1-", "-1", "1-2-3", "1.2", "1-2.", "1-2..3", "1", "1-0:1.0", "1234-1", "1-12345", "x", "1-2x"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        add(f, names[i], "00", "0951", "1666", "1", "2");
    add(f, "1-1", "00", "951x", "1666", "1", "2");
    add(f, "1-2", "00", "0951", "1666", "1", "1000");
    add(f, "1-3", "00", "0951", "1666", "-1", "2");
    add(f, "1-4", "", "0951", "1666", "1", "2");
    write_to(f, "1-5", "idVendor", "0951\n", -1);
    expect_ports(f, "");
}

/* What a device says of itself may be anything. */
static void cleans_what_devices_say(Fixture *f, gconstpointer unused)
{
    g_autofree char *endless = g_strnfill(100000, 'x');
    add(f, "1-1", "00", "0951", "1666", "1", "2");
    write_to(f, "1-1", "serial", "a\033[31m\nb\xc2\x85\xff" "c\0d\n", 16);
    write_to(f, "1-1", "manufacturer", endless, -1);
    write_to(f, "1-1", "product", " \t\n", -1);
    g_autoptr(GPtrArray) devices = usb_devices(f->root);
    g_assert_cmpuint(devices->len, ==, 1);
    const UsbDevice *device = devices->pdata[0];
    g_assert_true(g_utf8_validate(device->serial, -1, NULL));
    g_assert_true(g_str_has_prefix(device->serial, "a [31m b"));
    for (const char *p = device->serial; *p; p = g_utf8_next_char(p))
        g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
    g_assert_cmpuint(strlen(device->maker), <=, 1024);
    g_assert_cmpstr(device->model, ==, "");
}

static void wishes_are_checked(void)
{
    static const struct {
        const char *port, *device, *serial;
        bool good;
    } wishes[] = {
        {"1-2", NULL, NULL, true},          {"1-2.3.4", NULL, NULL, true},     {NULL, "0951:1666", NULL, true}, {NULL, "046D:c52b", NULL, true},
        {NULL, NULL, "60A4", true},         {"1-2", "0951:1666", "x", true},   {NULL, NULL, NULL, false},       {"1", NULL, NULL, false},
        {"usb1", NULL, NULL, false},        {"1-2:1.0", NULL, NULL, false},    {NULL, "0951", NULL, false},     {NULL, "0951:166", NULL, false},
        {NULL, "0951:16666", NULL, false},  {NULL, "0951-1666", NULL, false},  {NULL, "095g:1666", NULL, false}, {NULL, "+951:1666", NULL, false},
        {"../1-2", NULL, NULL, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(wishes); i++) {
        g_autoptr(Error) error = NULL;
        UsbWish wish;
        bool good = usb_wish_read("[USB a]", wishes[i].port, wishes[i].device, wishes[i].serial, &wish, &error);
        g_assert_true(good == wishes[i].good && good == !error);
        if (error)
            g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
    }
}

static bool meets(const UsbDevice *device, const char *port, const char *id, const char *serial)
{
    UsbWish wish;
    g_assert_true(usb_wish_read("x", port, id, serial, &wish, NULL));
    return usb_wish_meets(&wish, device);
}

static void all_of_a_wish_must_be_so(void)
{
    const UsbDevice device = {.port = (char *) "1-2", .vendor = 0x0951, .product = 0x1666, .serial = (char *) "A", .maker = (char *) "", .model = (char *) ""};
    g_assert_true(meets(&device, "1-2", NULL, NULL));
    g_assert_true(meets(&device, NULL, "0951:1666", NULL));
    g_assert_true(meets(&device, "1-2", "0951:1666", "A"));
    g_assert_false(meets(&device, "1-2.1", "0951:1666", "A"));
    g_assert_false(meets(&device, "1-2", "0951:1667", "A"));
    g_assert_false(meets(&device, "1-2", "0951:1666", "B"));
    g_assert_false(meets(&device, "1-2", NULL, ""));
}

/* A node that is no device's, or another's, is not opened in its place. */
static void opens_nothing_else(Fixture *f, gconstpointer unused)
{
    g_autofree char *dir = g_build_filename(f->root, "dev/bus/usb/001", NULL), *node = g_build_filename(dir, "002", NULL);
    add(f, "1-1", "00", "0951", "1666", "1", "2");
    g_autoptr(GPtrArray) devices = usb_devices(f->root);
    g_assert_cmpuint(devices->len, ==, 1);
    g_assert_cmpint(usb_device_open(f->root, devices->pdata[0]), ==, -ENODEV);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(node, "", 0, NULL));
    g_assert_cmpint(usb_device_open(f->root, devices->pdata[0]), ==, -ENODEV);
    g_assert_cmpint(unlink(node), ==, 0);
    g_assert_cmpint(symlink("/dev/null", node), ==, 0);
    g_assert_cmpint(usb_device_open(f->root, devices->pdata[0]), ==, -ELOOP);
    g_assert_cmpint(unlink(node), ==, 0);
    if (mknod(node, S_IFCHR | 0600, makedev(1, 3)) == 0)
        g_assert_cmpint(usb_device_open(f->root, devices->pdata[0]), ==, -ENODEV);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/usb/lists-devices-in-order", Fixture, NULL, set_up, lists_devices_in_order, tear_down);
    g_test_add("/usb/passes-over-what-is-none", Fixture, NULL, set_up, passes_over_what_is_none, tear_down);
    g_test_add("/usb/cleans-what-devices-say", Fixture, NULL, set_up, cleans_what_devices_say, tear_down);
    g_test_add_func("/usb/wishes-are-checked", wishes_are_checked);
    g_test_add_func("/usb/all-of-a-wish-must-be-so", all_of_a_wish_must_be_so);
    g_test_add("/usb/opens-nothing-else", Fixture, NULL, set_up, opens_nothing_else, tear_down);
    return g_test_run();
}
