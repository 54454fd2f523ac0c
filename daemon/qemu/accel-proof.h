/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The proof itself: opens /dev/kvm, runs the test guest and writes down how far it came.
 *
 * Runs in a child that is killed when it hangs, so the notes are in memory that the parent shares and say at
 * every moment what is being tried. What discriminates, as found on hosts where KVM opens but is of no use:
 *
 * - it crashes, hangs or refuses a mode: the last milestone says where;
 * - it runs each instruction of the guest's kernel in software, some thousand times slower than the
 *   processor, so that a guest takes hours to boot: the time of a loop, beside the same loop outside, says
 * so. Both are the least of several, so a busy host does not look like a slow KVM;
 * - timers do not fire: the sleep of the guest ends only by a timer's interrupt. */

#include <stdbool.h>
#include <stdint.h>

typedef enum ProofStep {
    PROOF_OPEN,
    PROOF_VERSION,
    PROOF_CREATE_VM,
    PROOF_CREATE_MEMORY,
    PROOF_CREATE_VCPU,
    PROOF_SET_UP,
    PROOF_RUN,
    PROOF_CHECK,
    PROOF_DONE,
    _PROOF_STEP_MAX,
} ProofStep;

typedef struct ProofNotes {
    volatile uint32_t step;      /* ProofStep: what is being tried, or has failed */
    volatile int32_t error;      /* errno of what has failed */
    volatile uint32_t milestone; /* the guest's last, 0 before the first */
    volatile uint32_t exit;      /* PROOF_RUN: the reason for which the guest has stopped, 0: none */
    volatile uint64_t loop_nsec, host_loop_nsec; /* the least so far */
    volatile uint64_t total_nsec;
} ProofNotes;

/* To be run in a child; 0 when the guest did all that it should. */
int accel_proof_run(void *notes);

/* How the notes read when the child has ended: for people; the caller frees. `hung`: it had to be killed. */
char *accel_proof_reason(const ProofNotes *notes, bool hung, bool *ret_kvm);
