/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Machine: settings and opened files become a QEMU command line.
 *
 * Every default that a VM has stands here, each with the reason; machine_command() reads as the list of what a
 * machine is made of. QEMU is asked what it can do (build.h), never which version it is.
 * Knows nothing of VM objects or D-Bus. */

#include <jansson.h>
#include <sys/types.h>

#include "blockdev.h"
#include "build.h"
#include "command.h"
#include "image.h"
#include "pci.h"
#include "settings.h"

typedef struct MachineDisk {
    char *section; /* "Disk root" */
    char *name;    /* "root" */
    bool cdrom;
    Image *image;  /* NULL: a drive with nothing in it */
} MachineDisk;

#define MACHINE_QUEUES_MAX 64U

/* Slots that devices can come into while a machine runs: buses MACHINE_SLOT and a number. */
#define MACHINE_SLOTS 4U
#define MACHINE_SLOT "slot"

/* What a disk's device is on; Bus= has them. */
typedef enum DiskBus { DISK_VIRTIO, DISK_SCSI, DISK_SATA, _DISK_BUS_MAX } DiskBus;

/* What disks share: a thread, and the controller of those on DISK_SCSI. The first that needs it brings it. */
#define MACHINE_IOTHREAD "io0"
#define MACHINE_SCSI "scsi0"

/* The USB controller, and where devices on it are. */
#define MACHINE_USB "usb0"
#define MACHINE_USB_BUS MACHINE_USB ".0"

/* The graphics card, where there is one. */
#define MACHINE_VIDEO "video0"

/* Memory beside the machine's own, as much of which the guest has as it is told to take. In whole blocks of this size. */
#define MACHINE_MORE_MEMORY "more"
#define MACHINE_MEMORY_BLOCK (UINT64_C(2) << 20)

/* What QEMU reads where its display is offered on a network, from the folder that its guard makes in its jail. */
#define MACHINE_TLS_MAX 3
extern const char *const machine_tls_names[MACHINE_TLS_MAX];

/* Who speaks SPICE where Type= of [Display] wants it: QEMU, or vmd-spice (spice/spice-protocol.h), which sees it by its D-Bus display, or by VNC where
 * that is what there is. */
typedef enum MachineSpice {
    MACHINE_SPICE_NONE,
    MACHINE_SPICE_QEMU,
    MACHINE_SPICE_DBUS,
    MACHINE_SPICE_VNC,
    MACHINE_SPICE_DBUS_SOUND, /* by its D-Bus display, and it hears and speaks, too */
    _MACHINE_SPICE_MAX,
} MachineSpice;
const char *machine_spice_to_string(MachineSpice spice); /* "", "qemu", "dbus", "vnc", "dbus-sound" */
MachineSpice machine_spice_from_string(const char *word);

/* Sockets of vmd-spice's devices: one for the guest's agent, one for files, and those for USB. */
#define MACHINE_SPICE_AGENT 0
#define MACHINE_SPICE_FILES 1
#define MACHINE_SPICE_USB 2
#define MACHINE_SPICE_FDS (MACHINE_SPICE_USB + 8)

/* What takes memory from the guest and gives it back, and tells how the guest does with it. */
#define MACHINE_BALLOON "balloon0"

/* A network card; behind it a tap. */
typedef struct MachineInterface {
    char *section;   /* "Network lan" */
    char *name;      /* "lan" */
    char *mac;
    unsigned mtu;    /* what the guest is told; 0: nothing */
    unsigned queues;
    int fds[MACHINE_QUEUES_MAX], vhost_fds[MACHINE_QUEUES_MAX]; /* owned; vhost -1: none */
} MachineInterface;

/* A folder of the host's; behind it a virtiofsd. */
#define MACHINE_SHARE_DEVICE "vhost-user-fs-pci"
typedef struct MachineShare {
    char *section; /* "Share docs" */
    char *name;    /* "docs", which is the tag, too */
    char *path;
    bool read_only;
    char *program;  /* virtiofsd */
    bool of_tree;   /* and it is of QEMU's tree, not the host's */
    int fd;         /* the folder, opened by its owner; owned, as all here is; -1: none, as any here */
    gid_t gid;      /* the owner's */
    GArray *groups; /* gid_t */
    int socket_fd;  /* QEMU's end of virtiofsd's socket */
} MachineShare;

/* A serial or parallel port that is one of the host's. */
typedef struct MachinePort {
    char *section; /* "Serial modem" */
    char *name;    /* "modem" */
    bool parallel;
    char *path;
    int fd; /* owned */
} MachinePort;

/* What a machine is made from. Descriptors are borrowed; -1 where there is none. */
typedef struct MachineParts {
    const char *name;
    const char *uuid;
    const char *machine; /* NULL: what the settings say; else a full machine name, as a saved VM needs it */
    const Settings *settings;
    const QemuBuild *build;
    bool kvm;
    bool io_uring; /* usable by QEMU's uid here */
    bool own_pids; /* QEMU sees no processes but its own */
    int monitor_fd, guard_fd, console_fd, agent_fd;
    int kernel_fd, initrd_fd;
    GArray *memory_fds; /* int: of machine_memory_sizes(), memfds; may be NULL where that is empty */
    int tpm_fd;       /* swtpm's control channel, where [TPM] has a Type= */
    int spice_fds[MACHINE_SPICE_FDS]; /* where machine_spice() is not QEMU's own */
    int vsock_fd;     /* with VSock=, and what the kernel has set on it */
    uint32_t vsock_cid, vsock_port;
    bool incoming;    /* waits for a saved state, which comes over the monitor */
    GPtrArray *disks; /* MachineDisk */
    Image *code;        /* UEFI's, with smm; NULL: the machine's own firmware */
    bool smm;
    MachineDisk *nvram; /* what UEFI keeps; not among the disks */
    GPtrArray *interfaces; /* MachineInterface; may be NULL */
    GPtrArray *pci;        /* PciDevice; may be NULL */
    GPtrArray *shares; /* MachineShare; may be NULL */
    GPtrArray *ports;  /* MachinePort; may be NULL */
    char *render_node; /* with GL=: "/dev/dri/renderD128", which QEMU opens by this name; else NULL */
    GArray *credential_fds; /* int: a string for the guest each; may be NULL */
} MachineParts;

Command *machine_command(const MachineParts *parts, Error **ret_error);

/* The full name of the machine type that the settings ask for ("pc-q35-7.2"); static or the build's. NULL
 * and an Error where this QEMU has none such. */
const char *machine_type(const Settings *settings, const QemuBuild *build, Error **ret_error);

/* What the machine boots by, of the settings Firmware= and SecureBoot=; the last one: by UEFI if the host has it. */
typedef enum FirmwareKind { FIRMWARE_BIOS, FIRMWARE_UEFI, FIRMWARE_UEFI_IF_THERE } FirmwareKind;
FirmwareKind machine_firmware(const Settings *settings, const QemuBuild *build);

/* Where QEMU sees no processes but its own (`own_pids`), nobody can talk D-Bus to it: GLib takes a peer without a PID for one without credentials. */
MachineSpice machine_spice(const Settings *settings, const QemuBuild *build, bool own_pids);

bool machine_spice_is_dbus(MachineSpice spice);
/* Whether who speaks SPICE for it hears the guest. */
bool machine_spice_has_sound(MachineSpice spice);
/* Whether the guest is to have a sound card. */
bool machine_wants_sound(const Settings *settings);

/* Whether its display is offered on a network: Listen=. */
bool machine_display_listens(const Settings *settings);
/* Whether its guest draws by the host's graphics processor: GL=. */
bool machine_display_has_gl(const Settings *settings);
/* Whether viewers that speak `type`, a word of Type=, find anything there. Where the host's graphics processor draws, pictures go one way alone. */
bool machine_display_speaks(const Settings *settings, const char *type);

/* Type= of [TPM]. */
typedef enum MachineTpm { MACHINE_TPM_NONE, MACHINE_TPM_1_2, MACHINE_TPM_2 } MachineTpm;
MachineTpm machine_tpm(const Settings *settings);

/* Whether its devices are on PCI Express, where only what is behind a port comes and goes. `type`: the full name. */
bool machine_type_is_pcie(const char *type);
bool machine_type_is_x86(const char *type);

/* Whether [Disk NAME] is a CD-ROM: Type=, or a name that ends in .iso. */
bool machine_disk_is_cdrom(const Settings *settings, const char *section);
/* Whether it is a disk with a file that the VM writes to. */
bool machine_disk_is_written(const Settings *settings, const char *section);
/* What the disk's device is on, in what query-block has answered: "inserted", which has a "node-name", and that name; borrowed, or NULL. It
 * changes with each snapshot. */
const json_t *machine_disk_find_inserted(const json_t *blocks, const char *name);
const char *machine_disk_find_node(const json_t *blocks, const char *name);
void machine_disk_free(MachineDisk *disk);

/* The same for a disk that is there from the start and for one that comes later: where it is, how its images are opened, and the
 * arguments of device_add, but for the PCI slot; a new reference, or NULL and an Error. */
DiskBus machine_disk_bus(const Settings *settings, const MachineDisk *disk, bool x86);
BlockdevOptions machine_disk_options(const Settings *settings, const MachineDisk *disk, bool io_uring);
json_t *machine_disk_device(const Settings *settings, const MachineDisk *disk, DiskBus bus, Error **ret_error);
char *machine_disk_id(const char *name); /* "disk-root"; the caller frees */
/* Whether what query-block has as "qdev", a device's id or the path of what is in it, is the disk's, or the NVRAM's (NVRAM_DISK). */
bool machine_disk_is_device(const char *qdev, const char *name);
/* What its block nodes are named after: its name where QEMU can have a node of that name, else one made from it. The caller frees. */
char *machine_disk_stem(const char *name);

/* Its IOPSMax= and BandwidthMax= as arguments of block_set_io_throttle; without them what ends all limits. A new reference. */
json_t *machine_disk_limits(const Settings *settings, const MachineDisk *disk, bool x86);
/* Whether there are any, and something that they can be of. */
bool machine_disk_has_limits(const Settings *settings, const char *section);

/* Whether this QEMU can share folders, and the arguments of device_add for one that comes later; a new reference. */
bool machine_has_share(const QemuBuild *build, const char *section, Error **ret_error);
json_t *machine_share_device(const char *name);
void machine_port_free(MachinePort *port);
void machine_share_free(MachineShare *share);

/* How many pairs of queues [Network NAME] has: Queues=, else one a virtual CPU and at most 8; one where the card is no virtio. */
unsigned machine_interface_queues(const Settings *settings, const char *section);
void machine_interface_free(MachineInterface *interface);
