/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager: owns all that vmd knows, and the loop's own concerns: the files' changes, when to leave.
 *
 * One per daemon. It reads /etc/vmd and /run/vmd at its start and follows them by inotify, so files are
 * the truth and the daemon is a view of them. manager-dbus.c is its face on the bus. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "accel.h"
#include "access.h"
#include "build.h"
#include "dirs.h"
#include "firewall.h"
#include "job.h"
#include "link.h"
#include "network.h"
#include "pool.h"
#include "scope.h"
#include "spawn.h"
#include "trees.h"
#include "vm.h"

struct Manager {
    bool user; /* on the session bus, for one user */
    sd_event *event;
    sd_bus *bus;
    Dirs *dirs;
    Access *access;
    Scopes *scopes;
    Spawner *spawner;
    Jobs *jobs;
    QemuBuilds *builds;
    Trees *trees;
    struct Inventory *inventory; /* inventory.c; NULL unless one is under way */
    Accel *accel;
    GHashTable *vms;      /* name (the VM's own) to VM */
    GHashTable *problems; /* path to message: files that cannot be used */
    GHashTable *networks; /* name (the network's own) to Network; empty for a user's vmd */
    GHashTable *pools;    /* name (the pool's own) to Pool */
    char *part_suffix;    /* of files that are being made on this host, in pools that others may share */
    GPtrArray *works;     /* pool/volume.h: what is being done to volumes */
    GPtrArray *ports;     /* network/port.h */
    struct PassthroughQueue *passthrough; /* vm/passthrough.c; NULL until a VM wants a PCI device */
    struct UsbHost *usb;  /* vm/hotplug/plugs.c; NULL until a VM wants to know */
    Links *links;
    Firewall *firewall;
    GPtrArray *doctors;      /* network/doctor.c: looks at the host under way */
    GPtrArray *server_calls; /* network/server.c: calls to systemd under way */
    bool links_watched;
    bool rules_wanted;       /* network/rules.c: the last state that was asked for is not empty */
    struct VsockListener *vsock; /* vm/guest/vsock.c; NULL until a VM has one */
    struct Watch *watch;  /* files.c */
    sd_event_source *idle, *trim;
    uint64_t idle_usec;
    unsigned busy;        /* calls whose answer is still to come */
    bool io_uring;
};

int manager_new(bool user, sd_event *event, sd_bus *bus, Manager **ret, Error **ret_error);
void manager_free(Manager *manager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manager, manager_free)

VM *manager_find_vm(Manager *manager, const char *name);
VM *manager_find_vm_or_error(Manager *manager, const char *name, Error **ret_error);

/* Sorted by name; g_free. */
VM **manager_list_vms(Manager *manager, size_t *ret_n);

/* Makes a VM known and says so on the bus; forgets it, when it neither runs nor has a file. */
VM *manager_add_vm(Manager *manager, const char *name, bool transient);
void manager_forget_vm(Manager *manager, VM *vm);

Network *manager_find_network(Manager *manager, const char *name);
Network *manager_find_network_or_error(Manager *manager, const char *name, Error **ret_error);
Network **manager_list_networks(Manager *manager, size_t *ret_n); /* sorted by name; g_free */
bool manager_has_active_network(const Manager *manager);
Network *manager_add_network(Manager *manager, const char *name);
/* Forgets it where it neither runs nor has a file. */
void manager_settle_network(Manager *manager, Network *network);

Pool *manager_find_pool(Manager *manager, const char *name);
Pool *manager_find_pool_or_error(Manager *manager, const char *name, Error **ret_error);
/* The path that a Source= leads to, a new string; *ret_volume: into a pool. NULL and an Error: there is no such pool. */
char *manager_find_source(Manager *manager, const char *source, bool *ret_volume, Error **ret_error);
Pool **manager_list_pools(Manager *manager, size_t *ret_n); /* sorted by name; g_free */
Pool *manager_add_pool(Manager *manager, const char *name);
/* Forgets it where it neither runs nor has a file. */
void manager_settle_pool(Manager *manager, Pool *pool);

/* files.c: reads all files; follows changes. Also after Reload(). */
int manager_watch_files(Manager *manager);
void manager_unwatch_files(Manager *manager);
void manager_scan_files(Manager *manager);

/* Reads one VM's file: adds, changes or forgets the VM. */
void manager_read_file(Manager *manager, const char *name, bool transient);
void manager_read_network_file(Manager *manager, const char *name);
void manager_read_pool_file(Manager *manager, const char *name);

/* Restarts the idle clock; called whenever something ends. Gives memory back when nothing has ended for a second, and leaves when
 * nothing runs for manager->idle_usec. */
void manager_check_idle(Manager *manager);

/* PropertiesChanged of an object, for vm_changed() and network_changed(): `property` and those in `ap`, up to NULL. */
void manager_emit_changed(Manager *manager, const char *path, const char *interface, const char *property, va_list ap);

/* Puts the objects on the bus. */
int manager_export(Manager *manager);

/* vm/recover.c: VMs that ran when vmd was away; then waits a moment for their monitors and for the folders of pools, so that what
 * is asked first need not be asked again. Before there is a bus to serve. */
void manager_recover(Manager *manager);
void manager_wait_for_answers(Manager *manager);
