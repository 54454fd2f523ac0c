/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Accel: does KVM run a guest here, proved by running one.
 *
 * That /dev/kvm opens proves little: in nested or restricted hosts it opens and an ordinary guest hangs, or
 * crawls because each of its instructions is emulated. The proof (accel-proof.h) runs a guest of a few
 * instructions in a child process, through the mode switches that real guests use, under a time limit of
 * seconds; the child is killed when it hangs. It runs as no user in particular and in the group that /dev/kvm
 * belongs to, as QEMU will: udev gives the device to group kvm, and QEMU must be in it.
 *
 * A "yes" holds for this boot of the host and as long as /dev/kvm stays the same node with the same rights; a
 * "no" is asked again after ten minutes. Kept in memory and in RUNTIME_DIR/accel. Knows nothing of VMs or
 * D-Bus. */

#include <systemd/sd-event.h>

#include "error.h"

typedef struct AccelProof {
    bool kvm;
    char *reason; /* for people: "KVM ran a test guest in 3 ms", "/dev/kvm does not exist", "a test guest
                     hung" */
} AccelProof;

typedef struct Accel Accel; /* one per daemon */

Accel *accel_new(sd_event *event, const char *runtime_dir /* NULL: memory only */);
void accel_free(Accel *accel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Accel, accel_free)

typedef void (*AccelReply)(const AccelProof *proof, void *userdata);

/* Known: *ret is set (borrowed, lives and stays as it is as long as the Accel) and 1 returned. Else 0, and
 * `reply` comes from the event loop. Never fails: what cannot be proved is an answer too. */
int accel_get(Accel *accel, AccelReply reply, void *userdata, const AccelProof **ret);
/* What is known already, borrowed; NULL when nobody has asked yet. Runs nothing. */
const AccelProof *accel_peek(const Accel *accel);

void accel_cancel(Accel *accel, void *userdata);
