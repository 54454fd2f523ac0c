/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VM: one virtual machine, defined or running.
 *
 * A VM is known as long as its settings file is there, or it runs. While it does not, it is a few words in memory:
 * what lists and properties show. While it does, it has an Instance (instance.h) with QEMU, scope and
 * monitor. What is done to a VM over time stands in files of its own: start.c, stop.c (Stop, Reboot, Terminate),
 * save.c; recover.c finds running ones again after vmd was away. All of them change the state by vm_set_state()
 * only, which tells the bus and the journal.
 *
 * Owned by the Manager. vm-dbus.c is its face on the bus. */

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "error.h"
#include "settings.h"

typedef struct Manager Manager;
typedef struct Instance Instance;

typedef enum VMState {
    VM_STOPPED,
    VM_STARTING,
    VM_RUNNING,
    VM_PAUSED,
    VM_STOPPING,
    VM_SAVING,
    VM_SAVED,
    VM_FAILED,
    _VM_STATE_MAX,
} VMState;

typedef enum VMReason {
    REASON_NONE,
    REASON_REQUESTED,
    REASON_GUEST_SHUTDOWN,
    REASON_GUEST_RESET,
    REASON_GUEST_PANIC,
    REASON_TERMINATED,
    REASON_CRASHED,
    REASON_START_FAILED,
    REASON_RESTORED,
    REASON_IO_ERROR,
    REASON_WATCHDOG,
    REASON_HOST_SHUTDOWN,
    REASON_UNKNOWN,
    _VM_REASON_MAX,
} VMReason;

typedef struct VM {
    Manager *manager;
    char *name;
    bool transient;
    bool defined;  /* its settings file is there */
    uid_t owner;   /* Owner=; vmd's own uid where it is unset; UID_NOBODY_KNOWN where its account is gone */
    char *problem; /* why its files cannot be used, or NULL */

    /* From the settings; of a running VM those that it runs with. */
    sd_id128_t uuid;
    char *description;
    char *qemu_root, *qemu_binary; /* Root= and Binary=; NULL: unset */
    uint32_t cpus;
    uint64_t memory;
    uint32_t cpus_max;    /* to what they can change while it runs */
    uint64_t memory_max;
    uint32_t snapshots;   /* how many it has */
    bool snapshots_there; /* or had, and its disks are still made from them */
    char **sources; /* Source= of its disks: what it needs, whether or not it runs; NULL: none */

    VMState state;
    VMReason reason;
    char *message;     /* for people, NULL when there is nothing to say */
    uint64_t since;    /* µs, CLOCK_REALTIME */
    bool needs_restart;

    struct SnapshotWork *snapshot_work; /* while a snapshot is made, gone back to or deleted */
    struct NvramOpening *nvram_import;  /* while an NVRAM is put in */
    struct BackupWork *backup;          /* while it is backed up */
    Instance *instance; /* NULL while no process of it is there */
} VM;

VM *vm_new(Manager *manager, const char *name, bool transient);
void vm_free(VM *vm);

/* What errors are about: VM "web". A new string. */
char *vm_thing(const VM *vm);

/* Paths, new strings. */
char *vm_settings_path(const VM *vm);
char *vm_object_path(const VM *vm);
char *vm_scope(const VM *vm);
char *vm_instance_dir(const VM *vm);
char *vm_saved_path(const VM *vm, const char *suffix); /* "state", "json" */

/* Reads the file again and fills in what is shown; of a running VM only what is live and `needs_restart` change. A file that
 * cannot be used is the VM's `problem`, and what was shown before stays. */
void vm_read_settings(VM *vm);
/* Whether it runs with what the file says now. */
void vm_compare_settings(VM *vm);
/* Whether a settings file could have this text: what only the host can tell, after what settings_edit() has checked. */
bool vm_check_text(const char *text, const char *origin, Error **ret_error);
Settings *vm_load_settings(const VM *vm, Error **ret_error);
/* Those that it runs with, where it does. */
Settings *vm_load_current_settings(const VM *vm, Error **ret_error);

/* Whether `next` may follow the present state; asserts it. Tells the bus and the journal. `message` may be NULL. */
void vm_set_state(VM *vm, VMState state, VMReason reason, const char *message);
void vm_changed(VM *vm, const char *property, ...) G_GNUC_NULL_TERMINATED;

/* The state that it has when no process is there: VM_SAVED when there is a saved one, else VM_STOPPED. */
VMState vm_resting_state(const VM *vm);
/* The same when it has failed: still VM_SAVED where it was to go on from a saved state, else VM_FAILED. */
VMState vm_failed_state(const VM *vm);

bool vm_is_active(const VM *vm);

/* Busy while a snapshot is made, gone back to or deleted, or it is backed up. */
bool vm_check_unworked(const VM *vm, Error **ret_error);

const char *vm_state_to_string(VMState state);
const char *vm_reason_to_string(VMReason reason);
VMState vm_state_from_string(const char *s); /* VM_STARTING when it is none of ours */
VMReason vm_reason_from_string(const char *s); /* REASON_UNKNOWN when it is none of ours */

/* What is done to a VM. The callback comes exactly once, `error` NULL on success; false and an Error
 * mean that nothing was begun and it will not come. It must stand that the VM is gone when it is called
 * (vm NULL): look nothing up in it. */
typedef void (*VMDone)(const Error *error, void *userdata);

bool vm_start(VM *vm, VMDone done, void *userdata, Error **ret_error);   /* start.c */
bool vm_stop(VM *vm, const char **ret_job_path, Error **ret_error);      /* stop.c */
bool vm_terminate(VM *vm, VMDone done, void *userdata, Error **ret_error);
bool vm_reboot(VM *vm, Error **ret_error);
bool vm_save(VM *vm, const char **ret_job_path, Error **ret_error);      /* save.c */
void vm_delete_saved(VM *vm);
/* The same for who asks for it: the VM is stopped then, or gone if it is transient. Busy unless it is saved. */
bool vm_discard_saved(VM *vm, Error **ret_error);
/* Of a VM that ran while vmd was away, and whose QEMU has not answered yet: true, and `done` comes when it has, has not in ten seconds, or has
 * ended; without an Error. Else false (recover.c). */
bool vm_await_monitor(VM *vm, VMDone done, void *userdata);
bool vm_reset(VM *vm, VMDone done, void *userdata, Error **ret_error);   /* run.c */
bool vm_pause(VM *vm, VMDone done, void *userdata, Error **ret_error);
bool vm_resume(VM *vm, VMDone done, void *userdata, Error **ret_error);
int vm_open_console(VM *vm, Error **ret_error); /* a connected socket, the caller's; -1 and an Error */
