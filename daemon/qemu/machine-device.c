/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine-device.h"

#include <string.h>

#include "machine-internal.h"

/* What is built into QEMU itself, and the modules that some distributions have in packages of their own. */
typedef enum Package {
    PACKAGE_QEMU,
    PACKAGE_VIRTIO_VGA,
    PACKAGE_VIRTIO_GPU,
    PACKAGE_GL,
    PACKAGE_QXL,
    PACKAGE_SPICE,
    PACKAGE_UI_DBUS,
    PACKAGE_USB_HOST,
    PACKAGE_USB_REDIRECT,
    _PACKAGE_MAX,
} Package;

static const char *const packages[_PACKAGE_MAX][2] = { /* for x86, and for ARM */
    [PACKAGE_QEMU] = {"qemu-system-x86 (Debian), qemu-system-x86-core (Fedora) or qemu-kvm-core (EL)",
        "qemu-system-arm (Debian), qemu-system-aarch64-core (Fedora) or qemu-kvm-core (EL)"},
    [PACKAGE_VIRTIO_VGA] = {"qemu-system-common (Debian), qemu-device-display-virtio-vga (Fedora) or qemu-kvm-device-display-virtio-vga (EL)"},
    [PACKAGE_VIRTIO_GPU] = {"qemu-system-common (Debian), qemu-device-display-virtio-gpu-pci (Fedora) or qemu-kvm-device-display-virtio-gpu-pci (EL)"},
    [PACKAGE_GL] = {"qemu-system-gui or, where there is one, qemu-system-modules-opengl (Debian), or qemu-device-display-virtio-vga-gl and qemu-ui-egl-headless (Fedora; EL has none)",
        "qemu-system-gui or, where there is one, qemu-system-modules-opengl (Debian), or qemu-device-display-virtio-gpu-pci-gl and qemu-ui-egl-headless (Fedora; EL has none)"},
    [PACKAGE_QXL] = {"qemu-system-common or, where there is one, qemu-system-modules-spice (Debian), or qemu-device-display-qxl (Fedora; EL has none)"},
    [PACKAGE_SPICE] = {"qemu-system-common or, where there is one, qemu-system-modules-spice (Debian), or qemu-ui-spice-core (Fedora; EL has none)"},
    [PACKAGE_UI_DBUS] = {"qemu-system-common (Debian), qemu-ui-dbus (Fedora) or qemu-kvm-ui-dbus (EL)"},
    [PACKAGE_USB_HOST] = {"qemu-system-common (Debian), qemu-device-usb-host (Fedora) or qemu-kvm-device-usb-host (EL)"},
    [PACKAGE_USB_REDIRECT] = {"qemu-system-common (Debian), qemu-device-usb-redirect (Fedora) or qemu-kvm-device-usb-redirect (EL)"},
};

static const struct {
    const char *what;
    Package package;
    const char *instead; /* what else can be done; NULL: nothing */
} devices[] = {
    {"virtio-blk-pci", PACKAGE_QEMU, "choose another Bus="},
    {"virtio-scsi-pci", PACKAGE_QEMU, "choose another Bus="},
    {"scsi-hd", PACKAGE_QEMU, "choose another Bus="},
    {"scsi-cd", PACKAGE_QEMU, "choose another Bus="},
    {"ide-hd", PACKAGE_QEMU, "choose another Bus="},
    {"ide-cd", PACKAGE_QEMU, "choose another Bus="},
    {"virtio-net-pci", PACKAGE_QEMU, "choose another Model="},
    {"e1000e", PACKAGE_QEMU, "choose another Model="},
    {"e1000", PACKAGE_QEMU, "choose another Model="},
    {"rtl8139", PACKAGE_QEMU, "choose another Model="},
    {"virtio-serial-pci", PACKAGE_QEMU, NULL},
    {"virtconsole", PACKAGE_QEMU, "choose another Type= of [Console]"},
    {"virtserialport", PACKAGE_QEMU, NULL},
    {"isa-serial", PACKAGE_QEMU, "choose another Type= of [Console]"},
    {"pci-serial", PACKAGE_QEMU, "remove the section"},
    {"isa-parallel", PACKAGE_QEMU, "remove the section"},
    {"virtio-mem-pci", PACKAGE_QEMU, "leave out what is behind the \"/\" of Memory="},
    {"i6300esb", PACKAGE_QEMU, "remove Watchdog="},
    {"tpm-crb", PACKAGE_QEMU, "remove Type= of [TPM]"},
    {"tpm-tis", PACKAGE_QEMU, "remove Type= of [TPM]"},
    {"tpm-tis-device", PACKAGE_QEMU, "remove Type= of [TPM]"},
    {"vhost-vsock-pci", PACKAGE_QEMU, "remove VSock="},
    {"vhost-user-fs-pci", PACKAGE_QEMU, "remove the section"},
    {"vfio-pci", PACKAGE_QEMU, "remove the section"},
    {"qemu-xhci", PACKAGE_QEMU, "remove the section"},
    {"usb-host", PACKAGE_USB_HOST, "remove the section"},
    {"usb-redir", PACKAGE_USB_REDIRECT, "set USBRedirection=0"},
    {"ich9-intel-hda", PACKAGE_QEMU, "set Type=none in [Sound]"},
    {"hda-duplex", PACKAGE_QEMU, "set Type=none in [Sound]"},
    {"virtio-vga", PACKAGE_VIRTIO_VGA, "choose another Video="},
    {"virtio-gpu-pci", PACKAGE_VIRTIO_GPU, "choose another Video="},
    {"virtio-vga-gl", PACKAGE_GL, "remove GL="},
    {"virtio-gpu-gl-pci", PACKAGE_GL, "remove GL="},
    {"virtio-gpu-gl-device", PACKAGE_GL, "remove GL="},
    {"qxl-vga", PACKAGE_QXL, "choose another Video="},
    {"qxl", PACKAGE_QXL, "choose another Video="},
    {"VGA", PACKAGE_QEMU, "choose another Video="},
    {"bochs-display", PACKAGE_QEMU, "choose another Video="},
    /* Not devices, but missed alike. */
    {"SPICE", PACKAGE_SPICE, "use Type=vnc"},
    {"VNC", PACKAGE_QEMU, "choose another Type="},
    {"D-Bus display", PACKAGE_UI_DBUS, "choose another Type="},
};

bool machine_lacks(const char *binary, bool x86, const char *what, const char *thing, Error **ret_error)
{
    size_t i = 0;
    while (i < G_N_ELEMENTS(devices) && !g_str_equal(devices[i].what, what))
        i++;
    if (i == G_N_ELEMENTS(devices))
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, NULL, "%s has no %s", binary, what);
    const char *const *names = packages[devices[i].package];
    g_autofree char *remedy = g_strdup_printf("Install the package %s%s%s", !x86 && names[1] ? names[1] : names[0], devices[i].instead ? ", or " : "",
        devices[i].instead ? devices[i].instead : "");
    return error_set(ret_error, ERROR_UNSUPPORTED, thing, remedy, "%s has no %s", binary, what);
}

bool machine_needs_device(const QemuBuild *build, const char *type, const char *thing, Error **ret_error)
{
    return qemu_build_has_device(build, type) || machine_lacks(qemu_build_path(build), machine_is_x86(build), type, thing, ret_error);
}
