/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PCI devices in a sysfs of the test's own. A kernel's files act when they are written to; these only keep what was written last. With a
 * kernel: ../machine/pci-devices-are-lent.test. */
#include "pci.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake-root.h"

typedef struct Fixture {
    char *root, *state;
} Fixture;

#define UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"

static char *at(const Fixture *f, const char *path)
{
    return g_build_filename(f->root, path, NULL);
}

static void make_dir(const Fixture *f, const char *path)
{
    g_autofree char *full = at(f, path);
    g_assert_cmpint(g_mkdir_with_parents(full, 0755), ==, 0);
}

static void write_to(const Fixture *f, const char *path, const char *text)
{
    g_autofree char *full = at(f, path), *dir = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_true(g_file_set_contents(full, text, -1, NULL));
}

static char *read_of(const Fixture *f, const char *path)
{
    g_autofree char *full = at(f, path);
    char *text = NULL;
    return g_file_get_contents(full, &text, NULL, NULL) ? g_strchomp(text) : g_strdup("");
}

static void make_link(const Fixture *f, const char *path, const char *target)
{
    g_autofree char *full = at(f, path), *dir = g_path_get_dirname(full);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_cmpint(symlink(target, full), ==, 0);
}

/* `group` NULL: no IOMMU. */
static void add(const Fixture *f, const char *address, const char *vendor, const char *device, const char *class, const char *driver, const char *group)
{
    g_autofree char *dir = g_strconcat("sys/devices/pci0000:00/", address, NULL), *link = g_strconcat("sys/bus/pci/devices/", address, NULL);
    g_autofree char *target = g_strconcat("../../../devices/pci0000:00/", address, NULL);
    const char *attributes[][2] = {{"vendor", vendor}, {"device", device}, {"class", class}, {"driver_override", "(null)\n"}};
    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        g_autofree char *path = g_build_filename(dir, attributes[i][0], NULL);
        write_to(f, path, attributes[i][1]);
    }
    make_link(f, link, target);
    if (driver) {
        g_autofree char *place = g_strconcat("sys/bus/pci/drivers/", driver, "/unbind", NULL), *path = g_build_filename(dir, "driver", NULL);
        g_autofree char *to = g_strconcat("../../../bus/pci/drivers/", driver, NULL);
        write_to(f, place, "");
        make_link(f, path, to);
    }
    if (group) {
        g_autofree char *path = g_build_filename(dir, "iommu_group", NULL), *to = g_strconcat("../../../kernel/iommu_groups/", group, NULL);
        g_autofree char *member = g_strdup_printf("sys/kernel/iommu_groups/%s/devices/%s", group, address);
        g_autofree char *back = g_strconcat("../../../../devices/pci0000:00/", address, NULL);
        make_link(f, path, to);
        make_link(f, member, back);
    }
}

static void set_up(Fixture *f, gconstpointer unused)
{
    f->root = g_dir_make_tmp("vmd-pci-XXXXXX", NULL);
    f->state = g_build_filename(f->root, "state", NULL);
    make_dir(f, "sys/bus/pci/drivers/vfio-pci");
    write_to(f, "sys/bus/pci/drivers/vfio-pci/unbind", "");
    write_to(f, "sys/bus/pci/drivers_probe", "");
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    remove_tree(f->root);
    g_free(f->root);
    g_free(f->state);
}

static GPtrArray *wishes_of(const char *address, const char *device, const char *uuid)
{
    GPtrArray *wishes = g_ptr_array_new_with_free_func((GDestroyNotify) pci_wish_free);
    PciWish *wish = pci_wish_new("PCI a", address, device, uuid, NULL);
    g_assert_nonnull(wish);
    g_ptr_array_add(wishes, wish);
    return wishes;
}

static GPtrArray *take(const Fixture *f, const char *owner, const char *address, const char *device, const char *uuid, Error **ret_error)
{
    g_autoptr(GPtrArray) wishes = wishes_of(address, device, uuid);
    return pci_take(f->root, f->state, owner, wishes, ret_error);
}

static void is_refused(const Fixture *f, const char *address, ErrorCode code, const char *word)
{
    g_autoptr(Error) error = NULL;
    g_assert_null(take(f, "web", address, NULL, NULL, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(error->code, ==, code);
    g_autofree char *message = error_message(error);
    if (!strstr(message, word))
        g_error("\"%s\" is not in: %s", word, message);
    g_auto(GStrv) owners = pci_owners(f->state);
    g_assert_cmpuint(g_strv_length(owners), ==, 0);
}

/* ---- */

static void wishes_are_checked(void)
{
    static const struct {
        const char *address, *device, *uuid;
        bool good;
    } wishes[] = {
        {"0000:01:00.0", NULL, NULL, true},  {"0000:01:00.0", "8086:10d3", NULL, true}, {NULL, "8086:10d3", NULL, true}, {NULL, NULL, UUID, true},
        {NULL, NULL, NULL, false},           {"01:00.0", NULL, NULL, false},            {"0000:01:00.", NULL, NULL, false},
        {"0000:01:00/0", NULL, NULL, false}, {"../../../../x", NULL, NULL, false},      {NULL, "8086", NULL, false},
        {NULL, "8086:10dx", NULL, false},    {"0000:01:00.0", NULL, UUID, false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(wishes); i++) {
        g_autoptr(Error) error = NULL;
        g_autoptr(PciWish) wish = pci_wish_new("PCI a", wishes[i].address, wishes[i].device, wishes[i].uuid, &error);
        g_assert_true(!!wish == wishes[i].good && !error == wishes[i].good);
    }
}

#define DEVICE "sys/devices/pci0000:00/0000:00:05.0"

static void expect_in(const Fixture *f, const char *path, const char *wanted)
{
    g_autofree char *text = read_of(f, path);
    g_assert_cmpstr(text, ==, wanted);
}

/* No driver ever takes it, in a sysfs without a kernel behind it. */
static void what_no_driver_takes_is_given_back(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "e1000e", "7");
    is_refused(f, "0000:00:05.0", ERROR_FAILED, "has not taken");
    expect_in(f, "sys/bus/pci/drivers/e1000e/unbind", "0000:00:05.0");
    expect_in(f, "sys/bus/pci/drivers_probe", "0000:00:05.0");
    expect_in(f, DEVICE "/driver_override", "");
}

static void what_was_taken_is_given_back(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "vfio-pci", "7");
    write_to(f, DEVICE "/driver_override", "vfio-pci\n");
    write_to(f, "state/0000:00:05.0", "[Device]\nOwner=web\nPath=/" DEVICE "\nOverride=e1000\n");
    pci_give_back(f->root, f->state, "other");
    expect_in(f, "sys/bus/pci/drivers/vfio-pci/unbind", "");
    g_auto(GStrv) owners = pci_owners(f->state);
    g_assert_cmpuint(g_strv_length(owners), ==, 1);
    g_assert_cmpstr(owners[0], ==, "web");

    pci_give_back(f->root, f->state, "web");
    expect_in(f, "sys/bus/pci/drivers/vfio-pci/unbind", "0000:00:05.0");
    expect_in(f, "sys/bus/pci/drivers_probe", "0000:00:05.0");
    expect_in(f, DEVICE "/driver_override", "e1000");
    g_auto(GStrv) none = pci_owners(f->state);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
}

static void nobody_takes_what_another_has(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "vfio-pci", "7");
    add(f, "0000:00:06.0", "0x8086", "0x10d3", "0x020000", "vfio-pci", "8");
    g_autoptr(Error) error = NULL;
    g_autoptr(GPtrArray) first = take(f, "web", NULL, "8086:10d3", NULL, NULL), second = take(f, "db", NULL, "8086:10d3", NULL, NULL);
    g_assert_true(first && second);
    const PciDevice *device = first->pdata[0];
    g_assert_cmpstr(device->name, ==, "0000:00:05.0");
    g_assert_cmpstr(device->path, ==, "/" DEVICE);
    g_assert_cmpstr(device->group, ==, "7");
    device = second->pdata[0];
    g_assert_cmpstr(device->name, ==, "0000:00:06.0");
    g_assert_null(take(f, "third", NULL, "8086:10d3", NULL, &error));
    g_assert_cmpint(error->code, ==, ERROR_IN_USE);
    pci_give_back(f->root, f->state, "web");
    g_autoptr(GPtrArray) third = take(f, "third", "0000:00:05.0", NULL, NULL, NULL);
    g_assert_nonnull(third);
}

static void without_an_iommu_it_is_refused(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "e1000e", NULL);
    is_refused(f, "0000:00:05.0", ERROR_UNSUPPORTED, "IOMMU");
    is_refused(f, "0000:00:06.0", ERROR_NO_SUCH_DEVICE, "lspci");
}

static void without_vfio_it_is_refused(Fixture *f, gconstpointer unused)
{
    g_autofree char *vfio = at(f, "sys/bus/pci/drivers/vfio-pci");
    remove_tree(vfio);
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "e1000e", "7");
    is_refused(f, "0000:00:05.0", ERROR_UNSUPPORTED, "modprobe vfio-pci");
    /* The host's driver was not disturbed. */
    expect_in(f, DEVICE "/driver_override", "(null)");
    expect_in(f, "sys/bus/pci/drivers/e1000e/unbind", "");
    expect_in(f, "sys/bus/pci/drivers_probe", "");
}

/* All but bridges, what has no driver, and what has VFIO's. */
static void others_of_the_group_must_be_out_of_use(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "vfio-pci", "7");
    add(f, "0000:00:04.0", "0x8086", "0x0001", "0x060400", "pcieport", "7");
    add(f, "0000:00:05.1", "0x8086", "0x10d3", "0x020000", NULL, "7");
    add(f, "0000:00:05.2", "0x8086", "0x10d3", "0x020000", "pci-stub", "7");
    g_autoptr(Error) error = NULL;
    g_autoptr(GPtrArray) devices = take(f, "web", "0000:00:05.0", NULL, NULL, &error);
    g_assert_nonnull(devices);
    pci_give_back(f->root, f->state, "web");

    add(f, "0000:00:05.3", "0x8086", "0x2922", "0x010601", "ahci", "7");
    is_refused(f, "0000:00:05.0", ERROR_INVALID_SETTINGS, "0000:00:05.3");
    is_refused(f, "0000:00:05.0", ERROR_INVALID_SETTINGS, "ahci");
}

static void mediated_devices_have_their_driver(Fixture *f, gconstpointer unused)
{
    make_dir(f, "sys/devices/pci0000:00/0000:00:02.0/" UUID);
    make_link(f, "sys/bus/mdev/devices/" UUID, "../../../devices/pci0000:00/0000:00:02.0/" UUID);
    make_link(f, "sys/devices/pci0000:00/0000:00:02.0/" UUID "/iommu_group", "../../../../kernel/iommu_groups/9");
    g_autoptr(Error) error = NULL, taken = NULL;
    g_autoptr(GPtrArray) devices = take(f, "web", NULL, NULL, UUID, &error);
    g_assert_nonnull(devices);
    const PciDevice *device = devices->pdata[0];
    g_assert_cmpstr(device->path, ==, "/sys/devices/pci0000:00/0000:00:02.0/" UUID);
    g_assert_cmpstr(device->group, ==, "9");
    g_assert_null(take(f, "other", NULL, NULL, UUID, &taken));
    g_assert_cmpint(taken->code, ==, ERROR_IN_USE);
    pci_give_back(f->root, f->state, "web");
    g_autofree char *probe = read_of(f, "sys/bus/pci/drivers_probe");
    g_assert_cmpstr(probe, ==, "");
}

/* vmd was killed before it had changed anything. */
static void half_a_record_is_none(Fixture *f, gconstpointer unused)
{
    add(f, "0000:00:05.0", "0x8086", "0x10d3", "0x020000", "vfio-pci", "7");
    write_to(f, "state/0000:00:05.0", "[Dev");
    g_auto(GStrv) owners = pci_owners(f->state);
    g_assert_cmpuint(g_strv_length(owners), ==, 1);
    g_assert_cmpstr(owners[0], ==, "");
    pci_give_back(f->root, f->state, "");
    g_auto(GStrv) none = pci_owners(f->state);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci/wishes-are-checked", wishes_are_checked);
#define TEST(name, function) g_test_add("/pci/" name, Fixture, NULL, set_up, function, tear_down)
    TEST("what-no-driver-takes-is-given-back", what_no_driver_takes_is_given_back);
    TEST("what-was-taken-is-given-back", what_was_taken_is_given_back);
    TEST("nobody-takes-what-another-has", nobody_takes_what_another_has);
    TEST("without-an-iommu-it-is-refused", without_an_iommu_it_is_refused);
    TEST("without-vfio-it-is-refused", without_vfio_it_is_refused);
    TEST("others-of-the-group-must-be-out-of-use", others_of_the_group_must_be_out_of_use);
    TEST("mediated-devices-have-their-driver", mediated_devices_have_their_driver);
    TEST("half-a-record-is-none", half_a_record_is_none);
    return g_test_run();
}
