/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Spawner: starts vmd-guard, which outlives vmd.
 *
 * The system's vmd lives in a sandbox that QEMU must not inherit, so it asks vmd-spawn (vmd-spawn.c); a user's vmd has no
 * sandbox and does it itself. So it is with sockets of the host's network, which the sandbox has not. Either way the guard is a child of systemd (birth.h). Knows nothing of VMs. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <glib.h>

#include "spawn-protocol.h"

typedef struct Spawner Spawner; /* one per daemon */

Spawner *spawner_new(sd_event *event, bool itself);
void spawner_free(Spawner *spawner); /* what is under way goes on, its callbacks do not come */

/* Connects, which starts vmd-spawn, so that it is there when it is wanted. */
void spawner_prepare(Spawner *spawner);

typedef struct SpawnSpec {
    char *const *argv; /* argv[0] is vmd-guard */
    const int *fds;    /* stay open in the child under the same numbers */
    size_t n_fds;
    int output;        /* stdout and stderr; stdin is /dev/null */
    int cgroup;        /* an open cgroup2 folder, or -1 */
} SpawnSpec;

/* `error`: 0, or a negative errno; an exec that fails shows as exit status 127. The pidfd is the callee's. */
typedef void (*SpawnDone)(pid_t pid, int pidfd, int error, void *userdata);

/* The descriptors must stay open until `done`, which comes once, perhaps before this returns. */
void spawner_spawn(Spawner *spawner, const SpawnSpec *spec, SpawnDone done, void *userdata);

/* A TCP socket that listens; `fd` is the callee's. A negative errno where there is none. */
typedef void (*SpawnListening)(int fd, int error, void *userdata);

/* `done` comes once, perhaps before this returns. */
void spawner_listen(Spawner *spawner, const SpawnListen *where, SpawnListening done, void *userdata);
/* Its `done` does not come any more. */
void spawner_forget(Spawner *spawner, const void *userdata);
