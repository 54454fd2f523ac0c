/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scopes: what vmd asks of systemd, and the cgroup that a scope becomes.
 *
 * A scope needs a live process first, and moving a process into a cgroup costs PID 1 an RCU grace period,
 * about half of the time that QEMU needs to start. So the cgroup is made here, before systemd is asked,
 * the guard is born in it, and StartTransientUnit finds its processes where they belong: QEMU starts while
 * PID 1 works. This is sound only where the new cgroup has the controllers that its slice hands
 * out already, or memory would be charged above it; scope_cgroup_make() checks that and otherwise says
 * no, and the caller starts QEMU after the scope's job has ended. The guest itself never runs before that.
 *
 * Knows nothing of VMs. Asynchronous throughout. */

#include <systemd/sd-bus.h>

#include "error.h"
#include "settings.h"

typedef struct Scopes Scopes; /* one per daemon: the subscription to systemd's jobs */

int scopes_new(sd_bus *bus, Scopes **ret);
void scopes_free(Scopes *scopes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scopes, scopes_free)

/* Told once, when it is known which cgroups of VMs there are and which of them systemd knows. */
typedef void (*ScopesKnown)(void *userdata);
void scopes_when_known(Scopes *scopes, ScopesKnown known, void *userdata);

/* The names of the units whose cgroups are there but which systemd does not have: what a vmd left behind that was killed between
 * the two steps of a start. g_ptr_array_unref. */
GPtrArray *scopes_unknown_cgroups(const Scopes *scopes);

/* Told of each unit that systemd has forgotten, which it does with ours when they have ended. One watcher. */
typedef void (*ScopesGone)(const char *unit, void *userdata);
void scopes_watch_gone(Scopes *scopes, ScopesGone gone, void *userdata);

typedef struct ScopeSpec {
    const char *unit;        /* "vm-web.scope" */
    const char *description;
    const GArray *pids;      /* pid_t: all that are to be in it, the first one its leader */
    uint64_t stop_timeout;   /* µs: TimeoutStopUSec= */
    int kill_signal;         /* KillSignal= */
    const Settings *settings; /* [Scope] is passed on, over the defaults */
    bool kvm;                 /* its processes need /dev/kvm */
    const char *const *devices; /* nodes that its processes need beside; ends with NULL. NULL: none */
    unsigned cpus;            /* virtual ones, each of which is a thread */
    const char *const *after; /* units that it is ordered behind, beside those that all are; ends with NULL. NULL: none */
} ScopeSpec;

typedef struct ScopeJob ScopeJob;

/* `error` is NULL when the scope is active. ERROR_EXISTS: a unit of that name is (still) loaded. */
typedef void (*ScopeDone)(const Error *error, void *userdata);

/* Starts the scope. The job belongs to the caller until `done` has been called; scope_job_forget() before
 * that means that it will not be. NULL and an Error when nothing was sent. */
ScopeJob *scope_start(Scopes *scopes, const ScopeSpec *spec, ScopeDone done, void *userdata, Error **ret_error);
void scope_job_forget(ScopeJob *job);

/* Whether systemd still has a unit of that name: then it cannot be made anew. Known from systemd's signals,
 * so it costs nothing; right after the daemon's start it may say no too early. */
bool scope_is_loaded(const Scopes *scopes, const char *unit);

/* Asks systemd to forget a unit that has ended but is still loaded. Nothing is reported. */
void scope_reset(Scopes *scopes, const char *unit);

/* Takes a unit file out of what is started at boot, if it is there. Nothing is reported. */
void unit_disable(Scopes *scopes, const char *unit);

/* Lets the processes of a unit that runs open a class of devices ("char-macvtap") until the next boot. systemd looks its number up
 * now, where DeviceAllow= in the unit's file does at the unit's start. `done` gets the reply, after which it may still take a
 * moment; *ret is the caller's, who does not hear of it any more after sd_bus_slot_unref(). */
int unit_allow_devices(Scopes *scopes, const char *unit, const char *devices, sd_bus_message_handler_t done, void *userdata,
    sd_bus_slot **ret);

/* Makes the cgroup for a scope in vms.slice. Returns an open folder (O_PATH would not do), or
 * -EEXIST (a scope of that name is not gone yet), -EOPNOTSUPP (not sound here, or no cgroup2) or another negative errno. */
int scope_cgroup_make(Scopes *scopes, const char *unit);

/* Opens the cgroup of an existing scope; negative errno. */
int scope_cgroup_open(Scopes *scopes, const char *unit);

/* Removes it when it is empty. Not for a scope that systemd has: it removes that itself, and would not
 * notice the end of one whose cgroup has gone. */
void scope_cgroup_remove(Scopes *scopes, const char *unit);

/* Kills all that is in it, at once and without a race. */
int scope_cgroup_kill(int cgroup);

/* Whether the process is in that scope now: what makes a PID from a file trustworthy. */
bool scope_has_process(const char *unit, pid_t pid);
