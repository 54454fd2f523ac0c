/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* BuildProbe: one question to one QEMU binary, under way.
 *
 * The child is QEMU without a machine, with its monitor on a socketpair; all questions go out at once, and
 * when the last is answered the child is killed. Lives from build_probe_new() until its reply, which comes
 * from the event loop when the child is gone, or until build_probe_free(), then without a reply. */

#include "build-facts.h"
#include "spawn.h"

typedef struct BuildProbe BuildProbe;

/* Either `build` (a reference that the callee takes over) or `error` (borrowed). May free the probe. */
typedef void (*BuildProbeReply)(BuildProbe *probe, QemuBuild *build, const Error *error, void *userdata);

/* `tree`: that of the identity, with `spawner`, which has it asked in its jail (tree-child.h); NULL: of the host. */
int build_probe_new(sd_event *event, Spawner *spawner, bool user, QemuTree *tree, const BuildIdentity *identity, BuildProbeReply reply, void *userdata,
        BuildProbe **ret);
void build_probe_free(BuildProbe *probe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildProbe, build_probe_free)

const BuildIdentity *build_probe_identity(const BuildProbe *probe);
