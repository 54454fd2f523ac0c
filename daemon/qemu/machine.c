/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"
#include "machine-internal.h"

#include <jansson.h>
#include <string.h>

#define PLUMBING "vmd"

void machine_disk_free(MachineDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->section);
    g_free(disk->name);
    image_free(disk->image);
    g_free(disk);
}

bool machine_is_x86(const QemuBuild *build)
{
    const char *target = qemu_build_target(build);
    return g_str_equal(target, "x86_64") || g_str_equal(target, "i386");
}

/* QEMU's own rule: a comma in a value of a key=value list is written twice. */
static char *escape(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    return g_strjoinv(",,", parts);
}

const char *machine_origin(const MachineParts *parts, const char *section, const char *key)
{
    return settings_origin(parts->settings, section, key) ?: DEFAULT;
}

const char *machine_type(const Settings *settings, const QemuBuild *build, Error **ret_error)
{
    const char *set = settings_get_string(settings, "VM", "Machine");
    const char *wanted = set ? set : machine_is_x86(build) ? "q35" : "virt";
    const char *name = qemu_build_machine_name(build, wanted);
    if (!name) {
        g_autofree char *thing = g_strdup_printf("Machine=%s", wanted);
        error_set(ret_error, ERROR_UNSUPPORTED, thing, "Run it with '-machine help' to see what it has", "%s has no such machine type",
            qemu_build_path(build));
    }
    return name;
}

static bool add_machine(Command *command, const MachineParts *parts, Error **ret_error)
{
    const char *type = parts->machine ?: machine_type(parts->settings, parts->build, ret_error);
    if (!type)
        return false;
    /* The HPET costs a timer interrupt per tick, and no guest needs it beside kvm-clock and the TSC. */
    const char *x86 = machine_is_x86(parts->build) ? ",vmport=off,hpet=off" : "";
    const char *from = settings_has(parts->settings, "VM", "Machine") ? machine_origin(parts, "VM", "Machine") : DEFAULT;
    command_addf(command, from, "-machine", "%s,accel=%s,memory-backend=ram,dump-guest-core=off%s", type,
        parts->kvm ? "kvm" : "tcg", x86);
    return true;
}

static void add_processor_and_memory(Command *command, const MachineParts *parts)
{
    const Settings *s = parts->settings;
    const char *cpu = settings_get_string(s, "VM", "CPU");
    uint64_t cpus = settings_get_number(s, "VM", "CPUs"), memory = settings_get_number(s, "VM", "Memory");

    command_addf(command, machine_origin(parts, "VM", "CPU"), "-cpu", "%s", cpu ? cpu : parts->kvm ? "host" : "max");
    command_addf(command, machine_origin(parts, "VM", "CPUs"), "-smp", "%" G_GUINT64_FORMAT, cpus);
    /* memfd, shared: what virtiofs and vhost-user need, at no cost to those that do not. */
    const char *backend = qemu_build_has_object(parts->build, "memory-backend-memfd") ? "memory-backend-memfd" : "memory-backend-ram";
    command_addf(command, machine_origin(parts, "VM", "Memory"), "-object", "%s,id=ram,size=%" G_GUINT64_FORMAT "%s", backend, memory,
        g_str_has_suffix(backend, "memfd") ? ",share=on" : "");
    command_addf(command, machine_origin(parts, "VM", "Memory"), "-m", "size=%" G_GUINT64_FORMAT "k", memory / 1024);
}

static void add_identity(Command *command, const MachineParts *parts)
{
    command_addf(command, PLUMBING, "-name", "guest=%s,debug-threads=on", parts->name);
    command_addf(command, machine_origin(parts, "VM", "UUID"), "-uuid", "%s", parts->uuid);
    command_add(command, DEFAULT, "-nodefaults", "-no-user-config", "-display", "none", NULL);
    if (machine_is_x86(parts->build))
        command_add(command, DEFAULT, "-vga", "none", NULL);
    command_add(command, DEFAULT, "-rtc", "base=utc", NULL);
    if (qemu_build_has_option(parts->build, "sandbox"))
        command_add(command, PLUMBING, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", NULL);

    bool pause = g_str_equal(settings_get_string(parts->settings, "VM", "OnPanic"), "pause");
    command_add(command, machine_origin(parts, "VM", "OnPanic"), "-action", pause ? "panic=pause" : "panic=shutdown", NULL);
}

static void add_monitors(Command *command, const MachineParts *parts)
{
    command_addf(command, PLUMBING, "-chardev", "socket,id=monitor,fd=%d,server=on,wait=off", parts->monitor_fd);
    command_add(command, PLUMBING, "-mon", "chardev=monitor,mode=control", NULL);
    command_add_fd(command, parts->monitor_fd);
    command_addf(command, PLUMBING, "-chardev", "socket,id=guard,fd=%d", parts->guard_fd);
    command_add(command, PLUMBING, "-mon", "chardev=guard,mode=control", NULL);
    command_add_fd(command, parts->guard_fd);
    /* The guest runs on vmd's word only, once its scope is there. */
    command_add(command, PLUMBING, "-S", NULL);
}

static void add_console(Command *command, const MachineParts *parts)
{
    if (parts->console_fd < 0)
        return;
    const char *from = machine_origin(parts, "Console", "Type");
    command_addf(command, from, "-chardev", "socket,id=console,fd=%d", parts->console_fd);
    command_add_fd(command, parts->console_fd);
    if (g_str_equal(settings_get_string(parts->settings, "Console", "Type"), "virtio"))
        command_add(command, from, "-device", "virtconsole,chardev=console,id=console0", NULL);
    else
        command_add(command, from, "-serial", "chardev:console", NULL);
}

/* Small devices that every guest profits from, each where this QEMU has it. */
static void add_common_devices(Command *command, const MachineParts *parts)
{
    static const struct {
        const char *type, *arguments;
        bool x86_only, other_only;
    } devices[] = {
        {"virtio-rng-pci", "", false, false},
        {"virtio-balloon-pci", ",id=balloon0,free-page-reporting=on", false, false},
        {"pvpanic", "", true, false},
        {"pvpanic-pci", "", false, true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        bool x86 = machine_is_x86(parts->build);
        if ((devices[i].x86_only && !x86) || (devices[i].other_only && x86) || !qemu_build_has_device(parts->build, devices[i].type))
            continue;
        command_addf(command, DEFAULT, "-device", "%s%s", devices[i].type, devices[i].arguments);
    }
}

bool machine_type_is_pcie(const char *type)
{
    return strstr(type, "q35") || g_str_has_prefix(type, "virt");
}

bool machine_is_pcie(const MachineParts *parts)
{
    g_autoptr(Error) error = NULL;
    const char *type = parts->machine ?: machine_type(parts->settings, parts->build, &error);
    return type && machine_type_is_pcie(type) && qemu_build_has_device(parts->build, "pcie-root-port");
}

/* For what is attached while the guest runs. */
static void add_slots(Command *command, const MachineParts *parts)
{
    for (unsigned i = 0; machine_is_pcie(parts) && i < MACHINE_SLOTS; i++)
        command_addf(command, DEFAULT, "-device", "pcie-root-port,id=" MACHINE_SLOT "%u,chassis=%u", i, i + 1);
}

static void add_serial_bus(Command *command, const MachineParts *parts)
{
    command_add(command, DEFAULT, "-device", "virtio-serial-pci,id=serial0", NULL);
    if (parts->agent_fd < 0)
        return;
    command_addf(command, DEFAULT, "-chardev", "socket,id=agent,fd=%d,server=on,wait=off", parts->agent_fd);
    command_add_fd(command, parts->agent_fd);
    command_add(command, DEFAULT, "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0", NULL);
}

static void add_kernel(Command *command, const MachineParts *parts)
{
    const Settings *s = parts->settings;
    if (parts->kernel_fd < 0)
        return;
    /* By descriptor, since QEMU's uid reaches no path; it opens the file behind it, no path is walked. */
    command_addf(command, machine_origin(parts, "Boot", "Kernel"), "-kernel", "/proc/self/fd/%d", parts->kernel_fd);
    command_add_fd(command, parts->kernel_fd);
    if (parts->initrd_fd >= 0) {
        command_addf(command, machine_origin(parts, "Boot", "Initrd"), "-initrd", "/proc/self/fd/%d", parts->initrd_fd);
        command_add_fd(command, parts->initrd_fd);
    }
    const char *set = settings_get_string(s, "Boot", "CommandLine");
    const char *console = g_str_equal(settings_get_string(s, "Console", "Type"), "virtio") ? "console=hvc0"
            : machine_is_x86(parts->build)                                                          ? "console=ttyS0"
                                                                                            : "console=ttyAMA0";
    command_add(command, machine_origin(parts, "Boot", "CommandLine"), "-append", set ? set : console, NULL);
}

/* Two descriptors of a writable image go into one set: QEMU picks the one whose access mode it wants. */
static void add_image_fds(Command *command, const char *from, const Image *image, unsigned set)
{
    int fds[] = {image->fd, image->read_fd};
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] < 0)
            continue;
        command_addf(command, from, "-add-fd", "fd=%d,set=%u", fds[i], set);
        command_add_fd(command, fds[i]);
    }
}

static bool cache_is(const MachineParts *parts, const MachineDisk *disk, const char *mode)
{
    const char *set = settings_get_string(parts->settings, disk->section, "Cache");
    return set && g_str_equal(set, mode);
}

/* Cache=: none is direct, unsafe leaves out the guest's flushes; writethrough is the device's (add_disk_device()). */
static json_t *cache_options(const MachineParts *parts, const MachineDisk *disk, const Image *image)
{
    return json_pack("{sb sb}", "direct", image->direct, "no-flush", cache_is(parts, disk, "unsafe"));
}

static json_t *file_node(const MachineParts *parts, const MachineDisk *disk, const Image *image, const char *node, unsigned set, bool discard)
{
    char file[32];
    (void) g_snprintf(file, sizeof file, "/dev/fdset/%u", set);
    const char *aio = parts->io_uring ? "io_uring" : "threads";
    return json_pack("{ss ss ss ss ss sb so}", "driver", image->block_device ? "host_device" : "file", "node-name", node,
        "filename", file, "aio", aio, "discard", discard ? "unmap" : "ignore", "read-only", image->read_only, "cache",
        cache_options(parts, disk, image));
}

/* One -blockdev per file and format of the chain, the last file first, since each names the next. */
static void add_chain(Command *command, const MachineParts *parts, const MachineDisk *disk, const Image *image, unsigned depth,
    unsigned *set)
{
    const Settings *s = parts->settings;
    const char *from = machine_origin(parts, disk->section, "Source");
    bool discard = settings_get_bool(s, disk->section, "Discard") && !image->read_only;
    if (image->backing)
        add_chain(command, parts, disk, image->backing, depth + 1, set);

    g_autofree char *file = g_strdup_printf("%s-file%u", disk->name, depth);
    g_autofree char *node = g_strdup_printf("%s-node%u", disk->name, depth);
    g_autofree char *next = g_strdup_printf("%s-node%u", disk->name, depth + 1);
    unsigned mine = (*set)++;
    add_image_fds(command, from, image, mine);

    json_t *below = file_node(parts, disk, image, file, mine, discard);
    g_autofree char *below_text = json_dumps(below, JSON_COMPACT);
    json_decref(below);
    command_add(command, from, "-blockdev", below_text, NULL);

    json_t *above = json_pack("{ss ss ss sb ss so}", "driver", image_format_to_string(image->format), "node-name", node, "file", file,
        "read-only", image->read_only, "discard", discard ? "unmap" : "ignore", "cache", cache_options(parts, disk, image));
    if (discard)
        json_object_set_new(above, "detect-zeroes", json_string("unmap"));
    if (image->format == IMAGE_QCOW2)
        json_object_set_new(above, "backing", image->backing ? json_string(next) : json_null());
    g_autofree char *above_text = json_dumps(above, JSON_COMPACT);
    json_decref(above);
    command_add(command, from, "-blockdev", above_text, NULL);
}

/* Firmware and guest find all three on every machine: virtio for speed, sata because any installer has it. */
typedef enum DiskBus { BUS_VIRTIO, BUS_SCSI, BUS_SATA, _BUS_MAX } DiskBus;
static const char *const disk_buses[_BUS_MAX] = {[BUS_VIRTIO] = "virtio", [BUS_SCSI] = "scsi", [BUS_SATA] = "sata"};

static DiskBus disk_bus(const MachineParts *parts, const MachineDisk *disk)
{
    const char *set = settings_get_string(parts->settings, disk->section, "Bus");
    for (DiskBus bus = 0; set && bus < _BUS_MAX; bus++)
        if (g_str_equal(set, disk_buses[bus]))
            return bus;
    return !disk->cdrom ? BUS_VIRTIO : machine_is_x86(parts->build) ? BUS_SATA : BUS_SCSI;
}

typedef struct DiskSlots {
    unsigned set;      /* next fdset */
    unsigned sata;     /* next port */
    bool scsi, iothread;
} DiskSlots;

static bool add_disk_device(Command *command, const MachineParts *parts, const MachineDisk *disk, DiskSlots *slots, Error **ret_error)
{
    const Settings *s = parts->settings;
    const char *from = machine_origin(parts, disk->section, "Source");
    g_autoptr(GString) device = g_string_new(NULL);

    switch (disk_bus(parts, disk)) {
    case BUS_VIRTIO:
        if (disk->cdrom)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, disk->section, "Use Bus=sata or Bus=scsi",
                "a CD-ROM cannot be on the bus virtio");
        if (!slots->iothread)
            command_add(command, DEFAULT, "-object", "iothread,id=io0", NULL);
        slots->iothread = true;
        g_string_append(device, "virtio-blk-pci,iothread=io0");
        break;
    case BUS_SCSI:
        if (!slots->scsi)
            command_add(command, from, "-device", "virtio-scsi-pci,id=scsi0", NULL);
        slots->scsi = true;
        g_string_append_printf(device, "%s,bus=scsi0.0", disk->cdrom ? "scsi-cd" : "scsi-hd");
        break;
    case BUS_SATA:
        if (!machine_is_x86(parts->build)) {
            return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "this machine has no sata bus");
        }
        g_string_append_printf(device, "%s,bus=ide.%u", disk->cdrom ? "ide-cd" : "ide-hd", slots->sata++);
        break;
    case _BUS_MAX:
        g_assert_not_reached();
    }

    g_string_append_printf(device, ",id=disk-%s,drive=%s-node0", disk->name, disk->name);
    uint64_t order = settings_get_number(s, disk->section, "BootOrder");
    if (order > 0)
        g_string_append_printf(device, ",bootindex=%" G_GUINT64_FORMAT, order);
    const char *serial = settings_get_string(s, disk->section, "Serial");
    if (serial) {
        g_autofree char *escaped = escape(serial);
        g_string_append_printf(device, ",serial=%s", escaped);
    }
    if (cache_is(parts, disk, "writethrough") && !disk->cdrom)
        g_string_append(device, ",write-cache=off");
    command_add(command, from, "-device", device->str, NULL);
    return true;
}

#define SATA_PORTS 6

static bool add_disks(Command *command, const MachineParts *parts, Error **ret_error)
{
    DiskSlots slots = {.set = 1};
    for (guint i = 0; i < parts->disks->len; i++) {
        const MachineDisk *disk = parts->disks->pdata[i];
        add_chain(command, parts, disk, disk->image, 0, &slots.set);
        if (!add_disk_device(command, parts, disk, &slots, ret_error))
            return false;
        if (slots.sata > SATA_PORTS)
            return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "a machine has %d sata ports only",
                SATA_PORTS);
    }
    return true;
}

Command *machine_command(const MachineParts *parts, Error **ret_error)
{
    g_autoptr(Command) command = command_new();
    const Settings *s = parts->settings;

    command_add(command, machine_origin(parts, "QEMU", "Binary"), qemu_build_path(parts->build), NULL);
    add_identity(command, parts);
    if (!add_machine(command, parts, ret_error))
        return NULL;
    add_processor_and_memory(command, parts);
    add_monitors(command, parts);
    add_serial_bus(command, parts);
    add_console(command, parts);
    add_common_devices(command, parts);
    add_slots(command, parts);
    add_kernel(command, parts);
    if (!add_disks(command, parts, ret_error) || !machine_add_interfaces(command, parts, ret_error))
        return NULL;
    if (parts->incoming)
        command_add(command, "saved state", "-incoming", "defer", NULL);
    const char *const *extra = settings_get_words(s, "QEMU", "Arguments");
    if (extra && extra[0])
        command_add_strv(command, machine_origin(parts, "QEMU", "Arguments"), extra);
    return g_steal_pointer(&command);
}

bool machine_disk_is_cdrom(const Settings *settings, const char *section)
{
    const char *type = settings_get_string(settings, section, "Type");
    const char *source = settings_get_string(settings, section, "Source");
    return type ? g_str_equal(type, "cdrom") : source && g_str_has_suffix(source, ".iso");
}
