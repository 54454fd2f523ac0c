/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scale: CPUs and memory that come to a VM while it runs, and go, up to what is behind the "/" of CPUs= and Memory=.
 *
 * CPUs are plugged one after the other; one that goes is let go of by the guest, which may take its time or refuse. Memory is virtio-mem's: QEMU is told how
 * much the guest is to have, and the guest's driver takes or gives back blocks until that is so. What could be done is what the VM runs
 * with from then on, and the rest waits for its next start (NeedsRestart).
 *
 * Belongs to the Instance while it is under way; one at a time. Called by live.c, and by run.c with QEMU's events. */

#include "instance.h"
#include "settings.h"

/* Begins what `settings` want otherwise than `running` have it, and can be done. */
void vm_scale(VM *vm, const Settings *settings, const Settings *running);

/* True when it was for this alone. */
bool scale_event(Scale *scale, const char *name, const json_t *data);

/* NULL is fine. */
void scale_free(Scale *scale);
