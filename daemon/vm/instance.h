/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Instance: what there is of a VM from the first step of its start until its last process is gone.
 *
 * It owns the processes' pidfds, the monitor, the run-time folder and the record in it, which is all that
 * a vmd that comes later needs to go on (recover.c). The end of vmd-guard is the end of the instance,
 * whoever brought it about: on_end is then called once, with what the status file says, and the
 * owner frees it.
 *
 *     /run/vmd/vm/NAME/record     key file: who and what (instance_write_record())
 *                      settings   the settings that it runs with, canonical
 *                      command    QEMU's command line and where each part comes from
 *                      status     vmd-guard's word on how it ended
 *                      monitor    QEMU's QMP socket     agent  guest agent's
 *                      helper-*   the same of the helpers' guards
 *                      bridge     vmd-spice's socket    ports/  those of its devices
 *                      console    vmd-guard's socket    console.log  what was printed */

#include <sys/types.h>

#include "command.h"
#include "image.h"
#include "machine.h"
#include "qmp.h"
#include "tree.h"
#include "vm.h"

typedef struct InstanceEnd {
    bool known;        /* false: no status file, the guard was killed */
    int code;          /* exit code, or -1 */
    int signal;        /* or 0 */
    bool panicked;
    char *reason;      /* QEMU's word, "" when there was none */
    char *output;      /* QEMU's last words, "" when there were none */
    char *helper;      /* why a helper failed; NULL: none has */
} InstanceEnd;

typedef struct Start Start;       /* start.c */
typedef struct Guest Guest;       /* guest.c */
typedef struct Freezer Freezer;   /* quiesce.c */
typedef struct GuestHold GuestHold; /* control.c */
typedef struct Trays Trays;       /* trays.c */
typedef struct Helpers Helpers;   /* helpers.c */
typedef struct Displays Displays; /* display.c */
typedef struct Redirections Redirections; /* redirections.c */
typedef struct DisplayListener DisplayListener; /* display-listen.c */
typedef struct Bridge Bridge;     /* bridge.c */
typedef struct Keyboard Keyboard; /* keyboard.c */
typedef struct Statistics Statistics; /* statistics.c */
typedef struct Scale Scale;       /* scale.c */
typedef struct Recovery Recovery; /* recover.c */
typedef struct Waiter {
    VMDone done;
    void *userdata;
} Waiter;

/* Two VMs never write one image: who it is, in the record too. */
#define IMAGE_DISK_MAX 32
typedef struct ImageIdentity {
    uint64_t dev, inode;
    bool read_only;
    char disk[IMAGE_DISK_MAX + 1]; /* of [Disk NAME], whose it is; "": of none */
} ImageIdentity;

struct Instance {
    VM *vm;
    char *dir;

    uid_t uid;         /* QEMU's; -1 in user mode */
    pid_t guard;
    int guard_pidfd;
    pid_t qemu;        /* 0 until known */
    sd_event_source *guard_end;

    Qmp *qmp;
    bool monitor_ready;
    Recovery *recovery; /* until a QEMU that ran while vmd was away has said how it is, or has had the time for it */
    bool ending;       /* QEMU has closed its monitor */
    Guest *guest;      /* NULL until its agent has been there */
    GuestHold *hold;   /* NULL unless somebody has frozen its file systems */
    GPtrArray *guest_acts; /* guest-act.c; NULL until something was done in the guest */
    Freezer *freezer;  /* NULL until its file systems have been frozen */
    bool frozen;       /* they are to be thawed */
    Trays *trays;      /* NULL until one has been open */
    Helpers *helpers;  /* NULL: none */
    char *helpers_record; /* what the record says of them, until they are found again */
    Displays *displays; /* NULL until one has been opened */
    DisplayListener *listener; /* NULL: its display is offered on no network */
    MachineSpice spice;
    char *bridge_password; /* what remote viewers say to vmd-spice; NULL: none that this vmd has made */
    uint64_t bridge_until; /* s of the real time */
    Bridge *bridge;    /* NULL: there is no vmd-spice, or nobody wants one now */
    char *listen_record; /* where, with the port; NULL: not */
    Keyboard *keyboard; /* NULL until keys have been pressed */
    Statistics *statistics; /* NULL until somebody has asked */
    GPtrArray *usb_plugs, *usb_refusals; /* plugs.c; NULL: none */
    Redirections *redirections; /* NULL until a USB device has been lent to it */
    bool usb_held, usb_first; /* while the memory is written down no USB device is there; then it chooses first */

    bool kvm;
    char *accelerator_reason;
    char *binary;
    char *root, *folder;   /* Root=, and where that is seen (tree.h); NULL: the host */
    QemuTree *tree;        /* NULL: the host, or a tree that has gone */
    char *version;
    char *machine;         /* full name */
    uint64_t stop_timeout, press_interval;
    bool terminate_at_timeout;
    bool console;
    uint32_t cid;          /* of vsock; 0: none */
    bool booted;           /* the property */
    bool replugged;        /* devices came or went: the machine is no more what its settings make */
    bool pinned;           /* virtual CPUs of it are where PinCPUs= has them */
    bool applies_medium;   /* what settings say of a CD drive is being done */
    GArray *images;        /* ImageIdentity */

    Start *start;          /* while it starts */
    struct Stop *stop;     /* while it stops or reboots */
    struct Save *save;     /* while it saves */
    struct Hotplug *hotplug; /* while a device comes or goes */
    Scale *scale;          /* while CPUs or memory do */
    char *hotplug_section;   /* which: recorded while QEMU may have a part of it only */
    bool hotplug_attaches;
    bool terminating;      /* on purpose */
    bool orphan;           /* systemd has no scope for the cgroup, so it is removed by us */
    GArray *waiters;       /* Waiter: told when it has ended */
    sd_event_source *kill_timer;
};

/* Makes the folder, empty. */
Instance *instance_new(VM *vm, Error **ret_error);

/* Frees it and closes all; kills nothing. The folder stays unless `remove`. */
void instance_free(Instance *instance, bool remove);

/* From when the guard is there. */
int instance_watch_guard(Instance *instance, pid_t pid, int pidfd);
bool instance_guard_is_gone(const Instance *instance); /* or its end is not yet dispatched */

/* A connection to one of the folder's sockets, of that type (SOCK_STREAM), the caller's; it does not block. A negative errno. */
int instance_connect(const Instance *instance, const char *name, int type);
/* One that listens, in a folder. */
int instance_listen(const char *dir_path, const char *name, int type);

/* Connects to QEMU's monitor socket. */
int instance_connect_monitor(Instance *instance);

/* The canonical settings that it runs with, in its folder. The caller frees. */
char *instance_settings_path(const Instance *instance);

bool instance_write_record(const Instance *instance, Error **ret_error);
bool instance_read_record(Instance *instance, Error **ret_error);

/* A status file of a vmd-guard in its folder; NULL: there is none that can be read. */
GKeyFile *instance_read_status(const Instance *instance, const char *name);

/* QEMU's PID from the status file, or 0. */
pid_t instance_read_qemu(Instance *instance);
void instance_read_end(Instance *instance, InstanceEnd *ret);
void instance_end_clear(InstanceEnd *end);

/* Ends QEMU now, on purpose, and everything else of the scope two seconds later if it is still there. */
void instance_kill(Instance *instance);

void instance_add_waiter(Instance *instance, VMDone done, void *userdata);
/* Taken before it is freed, and told (and freed) when all else of the end is done. */
GArray *instance_take_waiters(Instance *instance);
void instance_tell_waiters(GArray *waiters);

/* "qemu-system-x86_64: " lines of the output, the ones that matter, on one line; NULL when there are none. */
char *instance_last_words(const char *output);

/* QMP handlers shared by start.c and recover.c; they act on the Instance's VM (run.c). */
extern const QmpHandlers instance_qmp_handlers;

/* Called by instance.c when the guard has ended (end.c decides what that means for the VM). */
void vm_instance_ended(VM *vm);
