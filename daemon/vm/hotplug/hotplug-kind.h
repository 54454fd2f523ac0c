/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What hotplug.c and the kinds of device share. A kind is a row: what is opened on the host, what is put behind the device in QEMU, and
 * the device; hotplug.c does the rest, which is the same for all. Each step of a kind goes on with a function of hotplug.c, at once or
 * later, and all that it opened or made is undone by the step beside it. */

#include <jansson.h>

#include "instance.h"
#include "settings.h"
#include "steps.h"

typedef struct HotplugKind {
    const char *section;  /* "Disk" of [Disk root] */
    const char *device;   /* "disk" of "disk-root", as QEMU calls it */
    size_t size;          /* of hotplug->own, which is zero at first */

    bool (*check)(Hotplug *hotplug, Error **ret_error); /* whether it can come or go while the VM runs */
    bool (*open)(Hotplug *hotplug, Error **ret_error);  /* on the host; goes on with hotplug_opened() */
    void (*close)(Hotplug *hotplug);                    /* what open() gave to others than `own` */
    int (*add)(Hotplug *hotplug);                       /* behind the device; goes on with hotplug_added() */
    int (*remove)(Hotplug *hotplug);                    /* all that is there of it; goes on with hotplug_removed() */
    json_t *(*make_device)(Hotplug *hotplug);           /* arguments of device_add; without "bus" it gets a slot. NULL: no device comes */
    bool (*event)(Hotplug *hotplug, const char *name, const json_t *data); /* of QEMU; whether it was for this alone. May be NULL */
    void (*leaves)(Hotplug *hotplug);                   /* before device_del; may be NULL */
    void (*attached)(Hotplug *hotplug);                 /* QEMU has all of it */
    void (*free)(Hotplug *hotplug);                     /* what is in `own`, whatever became of it */
} HotplugKind;

extern const HotplugKind hotplug_interface, hotplug_disk, hotplug_share, hotplug_usb;
/* What is in a CD drive, that comes and goes while the drive stays; not found by its section. */
extern const HotplugKind hotplug_medium;
/* A USB device that a caller lends, of which no section knows; likewise. */
extern const HotplugKind hotplug_redirection;

typedef void (*HotplugPlugged)(Hotplug *hotplug, const Error *error);

struct Hotplug {
    VM *vm;
    const HotplugKind *kind;
    char *section, *name; /* "Network lan", "lan" */
    char *device;         /* QEMU's name for it */
    char *text, *running; /* what the file (NULL: it stays as it is), and the record of what runs, become */
    Settings *settings;   /* with the section, as it is to run or runs */
    bool force;           /* whatever the guest says */
    void *own;            /* the kind's */
    Error *error;         /* why it is being undone */
    json_t *plugging;     /* a device for which a slot is looked for */
    unsigned slot;
    HotplugPlugged plugged, ready;
    sd_event_source *timer; /* until the guest has let go */
    VMDone done;
    void *userdata;
};

#define HOTPLUG_QMP_USEC (10 * G_USEC_PER_SEC)

void hotplug_opened(Hotplug *hotplug, const Error *error);
void hotplug_added(Hotplug *hotplug, const Error *error);
void hotplug_removed(Hotplug *hotplug);

/* Puts a device into the first free slot, or where it says itself. Takes `device`. A negative errno: `plugged` does not come. */
int hotplug_plug(Hotplug *hotplug, json_t *device, HotplugPlugged plugged);

/* Has the machine a USB controller: `ready` comes, at once or later, when there is one, or with why there is none. A negative errno: it does not. */
int hotplug_need_usb(Hotplug *hotplug, HotplugPlugged ready);

/* Whose redirection it is: QEMU's end, which stays the caller's. */
void hotplug_redirection_set_fd(Hotplug *hotplug, int fd);
