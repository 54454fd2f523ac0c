/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* LastRun: how a VM that does not run came to its rest, for a vmd that comes later: one that had nothing to do has left,
 * and one that was killed is started again. It is there until the VM is started or forgotten, or the host has restarted, as
 * long as systemd remembers how a unit ended.
 *
 *     /run/vmd/last/NAME     key file
 *
 * The folder daemon/vm calls this; main.c calls last_runs_settle(). */

#include "manager.h"
#include "vm.h"

typedef struct LastRun {
    VMState state; /* VM_STOPPED, VM_SAVED or VM_FAILED */
    VMReason reason;
    char *message;
    uint64_t since; /* µs, CLOCK_REALTIME */
} LastRun;

/* False: nothing is known; else the caller owns it. */
bool last_run_read(const VM *vm, LastRun *ret);
void last_run_clear(LastRun *last);
/* What cannot be written is not known later, which no end of a VM fails for. */
void last_run_write(const VM *vm, const LastRun *last);
void last_run_forget(const VM *vm);

/* Gives a VM that was just made the state that is known of it. */
void last_run_recall(VM *vm);
/* At vmd's start, when its VMs are known: forgets what others left that have gone meanwhile. */
void last_runs_settle(Manager *manager);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LastRun, last_run_clear)
