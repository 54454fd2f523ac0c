/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"
#include "machine-internal.h"
#include "machine-memory.h"

#include <string.h>
#include <time.h>

#define PLUMBING "vmd"

bool machine_is_x86(const QemuBuild *build)
{
    const char *target = qemu_build_target(build);
    return g_str_equal(target, "x86_64") || g_str_equal(target, "i386");
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
    g_autofree const char **nodes = settings_sections(parts->settings, "NUMA");
    command_addf(command, from, "-machine", "%s,accel=%s%s,dump-guest-core=off%s", type, parts->kvm ? "kvm" : "tcg",
        nodes[0] ? "" : ",memory-backend=ram", x86);
    return true;
}

/* What saves a Windows guest exits: clocks that are read without one, CPUs that tell each other by one what takes many, and that give way where
 * they would spin. All are in each KVM since Linux 4.20. */
#define HYPERV \
    ",hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-time=on,hv-vpindex=on,hv-runtime=on,hv-synic=on,hv-stimer=on,hv-frequencies=on,hv-tlbflush=on,hv-ipi=on"

static bool add_processor(Command *command, const MachineParts *parts, Error **ret_error)
{
    const char *cpu = settings_get_string(parts->settings, "VM", "CPU");
    bool hyperv = settings_get_bool(parts->settings, "VM", "HyperV");
    if (hyperv && !machine_is_x86(parts->build))
        return error_set(ret_error, ERROR_UNSUPPORTED, machine_origin(parts, "VM", "HyperV"), "Remove it", "only x86 has it");
    command_addf(command, machine_origin(parts, "VM", "CPU"), "-cpu", "%s%s", cpu ? cpu : parts->kvm ? "host" : "max", hyperv && parts->kvm ? HYPERV : "");
    return true;
}

/* The host's time zone is not to be found in QEMU's jail, so it is told what time it is. */
static void add_clock(Command *command, const MachineParts *parts)
{
    const char *from = machine_origin(parts, "VM", "Clock");
    time_t now = time(NULL);
    struct tm local;
    char text[sizeof "2026-11-22T12:00:00" + 32];
    tzset();
    if (g_str_equal(settings_get_string(parts->settings, "VM", "Clock"), "localtime") && localtime_r(&now, &local) &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local) > 0)
        command_addf(command, from, "-rtc", "base=%s", text);
    else
        command_add(command, from, "-rtc", "base=utc", NULL);
}

static void add_identity(Command *command, const MachineParts *parts)
{
    command_addf(command, PLUMBING, "-name", "guest=%s,debug-threads=on", parts->name);
    command_addf(command, machine_origin(parts, "VM", "UUID"), "-uuid", "%s", parts->uuid);
    command_add(command, DEFAULT, "-nodefaults", "-no-user-config", NULL);
    if (machine_is_x86(parts->build))
        command_add(command, DEFAULT, "-vga", "none", NULL);
    add_clock(command, parts);
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

static bool add_console(Command *command, const MachineParts *parts, Error **ret_error)
{
    if (parts->console_fd < 0)
        return true;
    const char *from = machine_origin(parts, "Console", "Type"), *thing = settings_origin(parts->settings, "Console", "Type") ?: "[Console]";
    bool virtio = g_str_equal(settings_get_string(parts->settings, "Console", "Type"), "virtio");
    /* Other machines have a serial port of their own. */
    if ((virtio || machine_is_x86(parts->build)) && !machine_needs_device(parts->build, virtio ? "virtconsole" : "isa-serial", thing, ret_error))
        return false;
    command_addf(command, from, "-chardev", "socket,id=console,fd=%d", parts->console_fd);
    command_add_fd(command, parts->console_fd);
    if (virtio)
        command_add(command, from, "-device", "virtconsole,chardev=console,id=console0", NULL);
    else
        command_add(command, from, "-serial", "chardev:console", NULL);
    return true;
}

/* A guest that hangs cannot say so: what it has to do every so often is feed this. */
static bool add_watchdog(Command *command, const MachineParts *parts, Error **ret_error)
{
    const char *action = settings_get_string(parts->settings, "VM", "Watchdog"), *from = machine_origin(parts, "VM", "Watchdog");
    if (!action)
        return true;
    if (!machine_needs_device(parts->build, "i6300esb", from, ret_error))
        return false;
    command_add(command, from, "-device", "i6300esb,id=watchdog0", NULL);
    command_addf(command, from, "-action", "watchdog=%s", g_str_equal(action, "nmi") ? "inject-nmi" : action);
    return true;
}

/* Small devices that every guest profits from, each where this QEMU has it. A huge page that the guest lends back may be another's when
 * it wants it again, so there it does not. */
static void add_common_devices(Command *command, const MachineParts *parts)
{
    const struct {
        const char *type, *arguments;
        bool x86_only, other_only;
    } devices[] = {
        {"virtio-rng-pci", "", false, false},
        {"virtio-balloon-pci", machine_huge_page(parts->settings) > 0 ? ",id=" MACHINE_BALLOON : ",id=" MACHINE_BALLOON ",free-page-reporting=on", false, false},
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

bool machine_type_is_x86(const char *type)
{
    return strstr(type, "q35") || g_str_has_prefix(type, "pc") || g_str_has_prefix(type, "isapc") || g_str_has_prefix(type, "microvm");
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

static bool add_serial_bus(Command *command, const MachineParts *parts, Error **ret_error)
{
    if (!machine_needs_device(parts->build, "virtio-serial-pci", "the guest agent", ret_error) ||
        !machine_needs_device(parts->build, "virtserialport", "the guest agent", ret_error))
        return false;
    command_add(command, DEFAULT, "-device", "virtio-serial-pci,id=serial0", NULL);
    if (parts->agent_fd < 0)
        return true;
    command_addf(command, DEFAULT, "-chardev", "socket,id=agent,fd=%d,server=on,wait=off", parts->agent_fd);
    command_add_fd(command, parts->agent_fd);
    command_add(command, DEFAULT, "-device", "virtserialport,id=agent,chardev=agent,name=org.qemu.guest_agent.0", NULL);
    return true;
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

/* The strings are behind descriptors, and in no argument that others could read. */
static bool add_credentials(Command *command, const MachineParts *parts, Error **ret_error)
{
    const GArray *fds = parts->credential_fds;
    if (!fds || fds->len == 0)
        return true;
    if (!qemu_build_has_option(parts->build, "smbios"))
        return error_set(ret_error, ERROR_UNSUPPORTED, "[Credentials]", NULL, "%s cannot give them to a guest", qemu_build_path(parts->build));
    for (guint i = 0; i < fds->len; i++) {
        int fd = g_array_index(fds, int, i);
        command_addf(command, "[Credentials]", "-smbios", "type=11,path=/proc/self/fd/%d", fd);
        command_add_fd(command, fd);
    }
    return true;
}

Command *machine_command(const MachineParts *parts, Error **ret_error)
{
    g_autoptr(Command) command = command_new();
    const Settings *s = parts->settings;
    unsigned set = 1;

    command_add(command, machine_origin(parts, "QEMU", settings_has(s, "QEMU", "Binary") ? "Binary" : "Root"), qemu_build_path(parts->build), NULL);
    add_identity(command, parts);
    if (!add_machine(command, parts, ret_error))
        return NULL;
    if (!add_processor(command, parts, ret_error) || !machine_add_memory(command, parts, ret_error))
        return NULL;
    add_monitors(command, parts);
    if (!add_serial_bus(command, parts, ret_error) || !add_console(command, parts, ret_error))
        return NULL;
    add_common_devices(command, parts);
    if (!add_watchdog(command, parts, ret_error))
        return NULL;
    add_slots(command, parts);
    add_kernel(command, parts);
    if (!add_credentials(command, parts, ret_error))
        return NULL;
    machine_add_firmware(command, parts, &set);
    if (!machine_add_tpm(command, parts, ret_error) || !machine_add_disks(command, parts, &set, ret_error) ||
        !machine_add_interfaces(command, parts, ret_error) || !machine_add_ports(command, parts, &set, ret_error) ||
        !machine_add_pci(command, parts, MACHINE_SLOTS + 1 + (parts->interfaces ? parts->interfaces->len : 0) + parts->disks->len, ret_error) ||
        !machine_add_shares(command, parts, ret_error) || !machine_add_usb(command, parts, ret_error) ||
        !machine_add_display(command, parts, ret_error) || !machine_add_vsock(command, parts, ret_error))
        return NULL;
    if (parts->incoming)
        command_add(command, "saved state", "-incoming", "defer", NULL);
    const char *const *extra = settings_get_words(s, "QEMU", "Arguments");
    if (extra && extra[0])
        command_add_strv(command, machine_origin(parts, "QEMU", "Arguments"), extra);
    return g_steal_pointer(&command);
}
