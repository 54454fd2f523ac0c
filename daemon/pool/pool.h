/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pool: a folder whose files are volumes: disks of VMs, and images that disks are made from.
 *
 * A pool is known as long as its settings file is there. It runs when its folder is there: made, or mounted by a unit of systemd's; the
 * first VM that wants a volume starts it. What is in it is looked up by a thread (look.c), since its file system may hang, and kept:
 * reads answer from that. inotify says when it has changed.
 *
 * A volume is a regular file, and it belongs to whom the file belongs to: so a VM opens it with its owner's rights, as any other file,
 * and no list of rights is needed. Files that are links or begin with "." are none.
 *
 * Owned by the Manager. pool-dbus.c is its face on the bus; volume.h is what is done to volumes. */

#include <systemd/sd-event.h>

#include "error.h"
#include "image.h"
#include "scope.h"
#include "settings.h"
#include "task.h"

typedef struct Manager Manager;

typedef enum PoolType { POOL_DIR, POOL_NFS, POOL_MOUNT, _POOL_TYPE_MAX } PoolType;

typedef enum PoolState {
    POOL_STOPPED,
    POOL_STARTING,
    POOL_RUNNING,
    POOL_STOPPING,
    POOL_FAILED,
    _POOL_STATE_MAX,
} PoolState;

/* As it was when last looked at. */
typedef struct Volume {
    char *name;
    ImageFormat format;
    uint64_t size;       /* what a guest sees */
    uint64_t allocation; /* what it takes */
    char *backing;       /* as it stands in the image; NULL: none */
    uint64_t dev, inode;
    uid_t owner;
    bool readable;       /* by all */
    uint64_t modified;   /* µs, CLOCK_REALTIME */
} Volume;

/* Whether it could be done; the callback comes exactly once, perhaps before the function that it was given to returns. */
typedef void (*PoolDone)(const Error *error, void *userdata);

typedef struct PoolWaiter {
    PoolDone done;
    void *userdata;
} PoolWaiter;

typedef struct Pool {
    Manager *manager;
    char *name;
    bool defined;  /* its settings file is there */
    char *problem; /* why its files cannot be used, or NULL */

    /* From the settings. */
    char *description;
    PoolType type;
    char *path;
    bool autostart;
    uint64_t timeout;

    PoolState state;
    char *message;      /* why it failed, or does not answer */
    ScopeJob *mount;    /* systemd's, while it starts or stops */
    GArray *starters, *stoppers; /* PoolWaiter */

    /* As last looked at. */
    GPtrArray *volumes; /* Volume, sorted by name */
    uint64_t capacity, available, allocation;
    uint64_t dev;       /* of its file system */
    Task *look;
    bool clean;         /* what is half made is nobody's */
    bool look_again;    /* something has changed since it began */
    GArray *lookers;    /* PoolWaiter */
    int *in_flight;     /* looks, those that hang among them; g_atomic_rc_box */
    sd_event_source *watch, *settle;
} Pool;

Pool *pool_new(Manager *manager, const char *name);
void pool_free(Pool *pool);

/* New strings. */
char *pool_settings_path(const Pool *pool);
char *pool_object_path(const Pool *pool);
char *pool_unit(const Pool *pool); /* its mount's; NULL: none */

/* Reads the file again and fills in what is shown. */
void pool_read_settings(Pool *pool);
Settings *pool_load_settings(const Pool *pool, Error **ret_error);
/* Whether a settings file could have this text, after what settings_edit() has checked. */
bool pool_check_text(const Pool *pool, const char *text, const char *origin, Error **ret_error);

void pool_set_state(Pool *pool, PoolState state, const char *message);
void pool_changed(Pool *pool, const char *property, ...) G_GNUC_NULL_TERMINATED;

const char *pool_type_to_string(PoolType type);
const char *pool_state_to_string(PoolState state);

/* What is in it is known only then. */
bool pool_check_running(const Pool *pool, Error **ret_error);
Volume *pool_find_volume(const Pool *pool, const char *name);
Volume *pool_find_volume_or_error(const Pool *pool, const char *name, Error **ret_error);
void volume_free(Volume *volume);

void pool_add_waiter(GArray *waiters, PoolDone done, void *userdata);
/* Each may begin something new with the pool. */
void pool_tell(GArray **waiters, const Error *error);
/* `done` with this userdata does not come any more. */
void pool_forget(Pool *pool, void *userdata);

/* start.c: makes it run where it does not yet, and looks at it. */
void pool_start(Pool *pool, PoolDone done, void *userdata);
/* Unmounts; deletes nothing. ERROR_IN_USE while a VM that runs has an image on it. */
void pool_stop(Pool *pool, PoolDone done, void *userdata);
/* Those that run since before this vmd, and those with Autostart=. */
void pools_recover(Manager *manager);
/* A folder of this host is not there yet, though it soon is. */
bool pools_are_starting(const Manager *manager);
/* A user's vmd has the two pools of the system's from its first run on; before files are read. */
void pools_make_first(const Manager *manager);

/* look.c: looks at it anew; ERROR_TIMED_OUT: its file system does not answer. */
void pool_look(Pool *pool, PoolDone done, void *userdata);
/* The same, after what a vmd that was killed left half made is gone. */
void pool_clean_and_look(Pool *pool, PoolDone done, void *userdata);
void pool_unwatch(Pool *pool);
void pool_forget_volumes(Pool *pool);
