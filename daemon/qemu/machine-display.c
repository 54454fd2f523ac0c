/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Display] and [Sound] as QEMU's arguments: what is shown, who shows it, and what comes with it.
 *
 * Nothing listens: viewers come as descriptors (vm/screen/display.c), those from a network as well (display-listen.c), which alone are
 * asked for a password and have to speak TLS. What Type= says is what the devices are for; the other
 * protocols that this QEMU has cost nothing until somebody asks for them, and are there too. */

#include "guard.h"
#include "machine-internal.h"

#define TLS_OBJECT "tls0"
#define AUDIODEV "sound0"

#define GL_DEVICE "virtio-gpu-gl-device"

/* It listens there, too, but in a network namespace with nobody in it. Without a port it would not speak TLS. */
#define TLS_PORT "5900"

/* And of who comes and goes it tells only where it listens somewhere: in the jail, here. */
#define VNC_SOCKET "unix:/tmp/vnc"

const char *const machine_tls_names[MACHINE_TLS_MAX] = {GUARD_TLS_NAMES};

static bool display_is(const MachineParts *parts, const char *type)
{
    return g_str_equal(settings_get_string(parts->settings, "Display", "Type"), type);
}

static bool lacks(const MachineParts *parts, const char *key, const char *what, Error **ret_error)
{
    return machine_lacks(qemu_build_path(parts->build), machine_is_x86(parts->build), what, settings_origin(parts->settings, "Display", key) ?: "[Display]", ret_error);
}

bool machine_display_has_gl(const Settings *settings)
{
    return settings_get_bool(settings, "Display", "GL");
}

bool machine_display_speaks(const Settings *settings, const char *type)
{
    const char *has = settings_get_string(settings, "Display", "Type");
    if (g_str_equal(has, "none") || (g_str_equal(type, "spice") && !g_str_equal(has, "spice")))
        return false;
    return !machine_display_has_gl(settings) || g_str_equal(type, "dbus") == g_str_equal(has, "dbus");
}

/* ---- what is shown ---- */

static bool add_video(Command *command, const MachineParts *parts, Error **ret_error)
{
    static const struct {
        const char *word, *x86, *other; /* the VGA one is what firmware and boot loaders show something on */
        const char *x86_gl, *other_gl, *heads;
    } cards[] = {
        {"virtio", "virtio-vga", "virtio-gpu-pci", "virtio-vga-gl", "virtio-gpu-gl-pci", "max_outputs"},
        {"qxl", "qxl-vga", "qxl", NULL, NULL, "max_outputs"},
        {"vga", "VGA", "VGA", NULL, NULL, NULL},
        {"bochs", "bochs-display", "bochs-display", NULL, NULL, NULL},
    };
    const char *word = settings_get_string(parts->settings, "Display", "Video");
    uint64_t heads = settings_get_number(parts->settings, "Display", "Heads");
    size_t i = 0;
    while (i < G_N_ELEMENTS(cards) - 1 && !g_str_equal(cards[i].word, word))
        i++;
    bool x86 = machine_is_x86(parts->build), gl = machine_display_has_gl(parts->settings);
    const char *card = gl ? (x86 ? cards[i].x86_gl : cards[i].other_gl) : x86 ? cards[i].x86 : cards[i].other;
    if (!card)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(parts->settings, "Display", "Video") ?: "[Display]", "Use Video=virtio, or remove GL=",
            "no guest draws in three dimensions by a card of the type %s", word);
    if (!qemu_build_has_device(parts->build, card))
        return lacks(parts, gl ? "GL" : "Video", card, ret_error);
    /* Debian has the one that it is made of in another package. */
    if (gl && !qemu_build_has_device(parts->build, GL_DEVICE))
        return lacks(parts, "GL", GL_DEVICE, ret_error);
    if (heads > 1 && !cards[i].heads)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(parts->settings, "Display", "Heads") ?: "[Display]", "Use Video=virtio",
            "a card of the type %s has one head", word);
    g_autofree char *outputs = cards[i].heads ? g_strdup_printf(",%s=%" G_GUINT64_FORMAT, cards[i].heads, heads) : g_strdup("");
    command_addf(command, machine_origin(parts, "Display", "Video"), "-device", "%s,id=" MACHINE_VIDEO "%s", card, outputs);
    return true;
}

/* A tablet, since a pointer that says where it is needs not be captured. By USB, as every guest and every firmware knows it. */
static void add_input(Command *command, const MachineParts *parts)
{
    const char *from = machine_origin(parts, "Display", "Type");
    if (!qemu_build_has_device(parts->build, "qemu-xhci"))
        return;
    command_add(command, from, "-device", "usb-tablet,id=tablet0,bus=" MACHINE_USB_BUS, NULL);
    if (!machine_is_x86(parts->build))
        command_add(command, from, "-device", "usb-kbd,id=keyboard0,bus=" MACHINE_USB_BUS, NULL);
}

/* ---- who shows it ---- */

static const char *const spice_words[_MACHINE_SPICE_MAX] = {[MACHINE_SPICE_NONE] = "", [MACHINE_SPICE_QEMU] = "qemu", [MACHINE_SPICE_DBUS] = "dbus",
    [MACHINE_SPICE_VNC] = "vnc", [MACHINE_SPICE_DBUS_SOUND] = "dbus-sound"};

const char *machine_spice_to_string(MachineSpice spice)
{
    return spice_words[spice];
}

MachineSpice machine_spice_from_string(const char *word)
{
    MachineSpice spice = _MACHINE_SPICE_MAX - 1;
    while (spice > MACHINE_SPICE_NONE && g_strcmp0(word, spice_words[spice]) != 0)
        spice--;
    return spice;
}

bool machine_spice_is_dbus(MachineSpice spice)
{
    return spice == MACHINE_SPICE_DBUS || spice == MACHINE_SPICE_DBUS_SOUND;
}

bool machine_spice_has_sound(MachineSpice spice)
{
    return spice == MACHINE_SPICE_QEMU || spice == MACHINE_SPICE_DBUS_SOUND;
}

/* QEMU before 8.0 has a D-Bus audio driver, too, but crashes when somebody listens to it without a bus; nothing else that it says tells it from those
 * that do not. */
static bool dbus_has_sound(const QemuBuild *build)
{
    return qemu_build_has_audiodev(build, "dbus") && g_ascii_strtoull(qemu_build_version(build), NULL, 10) >= 8;
}

MachineSpice machine_spice(const Settings *settings, const QemuBuild *build, bool own_pids)
{
    if (!g_str_equal(settings_get_string(settings, "Display", "Type"), "spice"))
        return MACHINE_SPICE_NONE;
    if (qemu_build_has_option(build, "spice"))
        return MACHINE_SPICE_QEMU;
    /* One -display is all that there is, and with GL that is another one. */
    if (machine_display_has_gl(settings))
        return MACHINE_SPICE_NONE;
    if (qemu_build_has_chardev(build, "chardev-dbus") && !own_pids)
        return dbus_has_sound(build) ? MACHINE_SPICE_DBUS_SOUND : MACHINE_SPICE_DBUS;
    return qemu_build_has_option(build, "vnc") ? MACHINE_SPICE_VNC : MACHINE_SPICE_NONE;
}

static MachineSpice spice_of(const MachineParts *parts)
{
    return machine_spice(parts->settings, parts->build, parts->own_pids);
}

/* A chardev that is SPICE's: QEMU's own, or a socket of vmd-spice's. */
static void add_spice_chardev(Command *command, const MachineParts *parts, const char *from, const char *id, const char *own, unsigned socket)
{
    if (spice_of(parts) == MACHINE_SPICE_QEMU) {
        command_addf(command, from, "-chardev", "%s,id=%s", own, id);
        return;
    }
    command_addf(command, from, "-chardev", "socket,id=%s,fd=%d,server=on,wait=off", id, parts->spice_fds[socket]);
    command_add_fd(command, parts->spice_fds[socket]);
}

static void add_spice_port(Command *command, const char *from, const char *id, const char *name)
{
    command_addf(command, from, "-device", "virtserialport,id=%s,chardev=%s,name=%s", id, id, name);
}

static bool add_redirection(Command *command, const MachineParts *parts, Error **ret_error)
{
    uint64_t n = settings_get_number(parts->settings, "Display", "USBRedirection");
    const char *from = machine_origin(parts, "Display", "USBRedirection");
    static const char *const devices[] = {"usb-redir", "qemu-xhci"};
    /* Where nobody has asked for it, it is nice to have. */
    for (size_t i = 0; n > 0 && i < G_N_ELEMENTS(devices); i++)
        if (!qemu_build_has_device(parts->build, devices[i]))
            return !settings_has(parts->settings, "Display", "USBRedirection") || lacks(parts, "USBRedirection", devices[i], ret_error);
    for (unsigned i = 0; i < n && MACHINE_SPICE_USB + i < MACHINE_SPICE_FDS; i++) {
        g_autofree char *id = g_strdup_printf("redir%u", i);
        add_spice_chardev(command, parts, from, id, "spicevmc,name=usbredir", MACHINE_SPICE_USB + i);
        command_addf(command, from, "-device", "usb-redir,id=%s,chardev=%s,bus=" MACHINE_USB_BUS, id, id);
    }
    return true;
}

static bool add_spice(Command *command, const MachineParts *parts, Error **ret_error)
{
    const char *from = machine_origin(parts, "Display", "Type");
    bool clipboard = settings_get_bool(parts->settings, "Display", "Clipboard"), files = settings_get_bool(parts->settings, "Display", "FileTransfer");
    MachineSpice spice = spice_of(parts);
    if (spice == MACHINE_SPICE_NONE)
        return lacks(parts, "Type", "SPICE", ret_error);
    /* Who gets in is asked before there is a connection at all; but for those of a network. */
    if (spice == MACHINE_SPICE_QEMU)
        command_addf(command, from, "-spice", "%s,seamless-migration=off,streaming-video=filter%s%s",
            machine_display_listens(parts->settings) ? "tls-port=" TLS_PORT ",x509-dir=" GUARD_TLS : "disable-ticketing=on", clipboard ? "" : ",disable-copy-paste=on",
            files ? "" : ",disable-agent-file-xfer=on");
    add_spice_chardev(command, parts, from, "vdagent", "spicevmc,name=vdagent", MACHINE_SPICE_AGENT);
    add_spice_port(command, from, "vdagent", "com.redhat.spice.0");
    if (files) {
        add_spice_chardev(command, parts, from, "webdav", "spiceport,name=org.spice-space.webdav.0", MACHINE_SPICE_FILES);
        add_spice_port(command, from, "webdav", "org.spice-space.webdav.0");
    }
    return add_redirection(command, parts, ret_error);
}

/* ---- sound ---- */

bool machine_wants_sound(const Settings *settings)
{
    const char *type = settings_get_string(settings, "Sound", "Type");
    return g_str_equal(type ?: settings_get_string(settings, "Display", "Type"), "spice");
}

static const char *missing_sound_device(const QemuBuild *build)
{
    static const char *const devices[] = {"ich9-intel-hda", "hda-duplex"};
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++)
        if (!qemu_build_has_device(build, devices[i]))
            return devices[i];
    return NULL;
}

/* Whom a D-Bus display has to be told of. */
static bool plays_by_dbus(const MachineParts *parts)
{
    return machine_wants_sound(parts->settings) && spice_of(parts) == MACHINE_SPICE_DBUS_SOUND && !missing_sound_device(parts->build);
}

static bool add_sound(Command *command, const MachineParts *parts, Error **ret_error)
{
    /* What has no SPICE plays to nobody where it cannot do so by D-Bus; the guest has its card all the same. What vmd-spice hears is as SPICE has it. */
    static const char *const drivers[_MACHINE_SPICE_MAX] = {[MACHINE_SPICE_NONE] = "none", [MACHINE_SPICE_QEMU] = "spice", [MACHINE_SPICE_DBUS] = "none", [MACHINE_SPICE_VNC] = "none",
        [MACHINE_SPICE_DBUS_SOUND] = "dbus,out.frequency=48000,out.channels=2,out.format=s16,in.frequency=48000,in.channels=2,in.format=s16"};
    if (!machine_wants_sound(parts->settings))
        return true;
    if (!display_is(parts, "spice"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(parts->settings, "Sound", "Type"), "Set Type=spice in [Display], or Type=none here",
            "there is no SPICE display that it could be heard in");
    const char *missing = missing_sound_device(parts->build), *from = machine_origin(parts, "Sound", "Type");
    if (missing)
        return !settings_has(parts->settings, "Sound", "Type") || machine_needs_device(parts->build, missing, settings_origin(parts->settings, "Sound", "Type"), ret_error);
    command_addf(command, from, "-audiodev", "%s,id=" AUDIODEV, drivers[spice_of(parts)]);
    command_add(command, from, "-device", "ich9-intel-hda,id=sound0", "-device", "hda-duplex,audiodev=" AUDIODEV ",bus=sound0.0", NULL);
    return true;
}

bool machine_display_listens(const Settings *settings)
{
    return settings_get_string(settings, "Display", "Listen") && !g_str_equal(settings_get_string(settings, "Display", "Type"), "none");
}

/* Where a graphics processor of the host's draws, the display that is named here is the one that fetches its pictures: for D-Bus as they
 * are, by descriptors, and otherwise into memory, from where SPICE and VNC take them, on whatever host their viewers are. */
static void add_backend(Command *command, const MachineParts *parts, bool dbus)
{
    const char *from = machine_origin(parts, "Display", "Type");
    if (!machine_display_has_gl(parts->settings))
        command_add(command, from, "-display", !dbus ? "none" : plays_by_dbus(parts) ? "dbus,p2p=yes,audiodev=" AUDIODEV : "dbus,p2p=yes", NULL);
    else
        command_addf(command, machine_origin(parts, "Display", "GL"), "-display", "%s,rendernode=%s",
            display_is(parts, "dbus") ? "dbus,p2p=yes,gl=on" : "egl-headless", parts->render_node);
}

bool machine_add_display(Command *command, const MachineParts *parts, Error **ret_error)
{
    const char *from = machine_origin(parts, "Display", "Type");
    bool dbus = qemu_build_has_chardev(parts->build, "chardev-dbus"), vnc = qemu_build_has_option(parts->build, "vnc");
    if (display_is(parts, "none") && machine_display_has_gl(parts->settings))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(parts->settings, "Display", "GL"), "Set Type= of [Display], or remove GL=",
            "a VM without a display has nothing to draw on");
    if (display_is(parts, "none")) {
        command_add(command, DEFAULT, "-display", "none", NULL);
        return add_sound(command, parts, ret_error);
    }
    if (display_is(parts, "dbus") && !dbus)
        return lacks(parts, "Type", "D-Bus display", ret_error);
    if (display_is(parts, "vnc") && !vnc)
        return lacks(parts, "Type", "VNC", ret_error);
    add_backend(command, parts, dbus);
    if (vnc && display_is(parts, "vnc") && machine_display_listens(parts->settings)) {
        command_add(command, machine_origin(parts, "Display", "Listen"), "-object",
            "tls-creds-x509,id=" TLS_OBJECT ",dir=" GUARD_TLS ",endpoint=server,verify-peer=no", NULL);
        command_add(command, from, "-vnc", VNC_SOCKET ",tls-creds=" TLS_OBJECT ",password=on", NULL);
    } else if (vnc && machine_display_speaks(parts->settings, "vnc"))
        command_add(command, from, "-vnc", "none", NULL);
    if (!add_video(command, parts, ret_error))
        return false;
    add_input(command, parts);
    if (display_is(parts, "spice") && !add_spice(command, parts, ret_error))
        return false;
    return add_sound(command, parts, ret_error);
}
