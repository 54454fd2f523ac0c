/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The test guest that an accelerator proof runs: some dozen instructions, one implementation an architecture.
 *
 * It reports each milestone by leaving to the host with a number; the host measures the time of the loop
 * and checks what it has done to memory. It runs in a forked child, so nothing here may allocate or lock.
 * Included by the guest's assembly too. */

#define GUEST_MEMORY_SIZE 0x200000
#define GUEST_DATA 0x9000    /* GuestData */
#define GUEST_PAGES 0x100000 /* GUEST_PAGES_N pages, of each the first eight bytes are written */
#define GUEST_PAGES_N 64
#define GUEST_PAGE_SIZE 0x1000

/* Milestones, in order. */
#define GUEST_BOOTED 1     /* the first instructions ran */
#define GUEST_SWITCHED 2   /* it is in the mode that operating systems run in */
#define GUEST_LOOP_BEGIN 3 /* followed by iterations of nothing but the loop */
#define GUEST_LOOP_END 4   /* begins again while repeats are left */
#define GUEST_MEMORY 5     /* the pages are written and summed up */
#define GUEST_TIMER 6      /* a timer's interrupt has woken it from its sleep (where there is a timer) */
#define GUEST_DONE 7

#ifndef __ASSEMBLER__

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

/* At GUEST_DATA, shared with the running guest. */
typedef struct GuestData {
    uint64_t iterations; /* of the loop */
    uint64_t repeats;    /* of loop with its milestones, at least one */
    uint64_t seed;       /* page i gets seed + i */
    uint64_t sum;        /* what the guest reads back, added up */
} GuestData;

typedef struct Guest {
    int kvm, vm, vcpu;
    char *memory; /* GUEST_MEMORY_SIZE bytes at guest physical 0 */
    struct kvm_run *run;
} Guest;

/* What the guest's machine needs before its memory and its vCPU are there, and with them. Return 0 or a
 * negative errno. */
int guest_create_vm(int kvm);
int guest_prepare(Guest *guest);

/* The milestone that a return of KVM_RUN stands for; 0 when it is none. */
unsigned guest_milestone(const Guest *guest);

/* The same loop, outside. */
void guest_loop_on_host(uint64_t iterations);

#endif
