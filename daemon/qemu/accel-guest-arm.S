/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test guest for arm64, at EL1: turns the MMU on, then the loop and memory. */
#include "accel-guest-arm.h"
#include "accel-guest.h"

    .macro milestone number
    mov w1, #\number
    str w1, [x0]
    .endm

    .section .rodata, "a"
    .balign 8
    .globl accel_guest_arm, accel_guest_arm_end
    .hidden accel_guest_arm, accel_guest_arm_end

accel_guest_arm:
    mov x0, #ARM_PORT
    milestone GUEST_BOOTED

    /* 4 KiB granules and 32 bits of address: a table of four gigabyte blocks at level 1, of which the first is
     * one of device memory but for a table with the first 2 MiB as ordinary memory. */
    mov x2, #ARM_TABLE
    add x3, x2, #0x1000
    orr x4, x3, #3 /* table */
    str x4, [x2]
    mov x4, #0x705 /* block, attribute 1, inner shareable, accessed */
    str x4, [x3]
    mov x4, #0x401 /* block, attribute 0: device */
    mov x5, #ARM_PORT
    orr x4, x4, x5
    lsr x5, x5, #21
    str x4, [x3, x5, lsl #3]
    mov x4, #0xff00 /* attribute 0 device, 1 write-back */
    msr mair_el1, x4
    mov x4, #32 /* T0SZ; walks without caches, as the table was written */
    orr x4, x4, #(1 << 23) /* EPD1 */
    msr tcr_el1, x4
    msr ttbr0_el1, x2
    dsb sy
    isb
    tlbi vmalle1
    dsb sy
    isb
    mrs x4, sctlr_el1
    mov x5, #0x1005 /* MMU, data and instruction caches */
    orr x4, x4, x5
    msr sctlr_el1, x4
    isb
    milestone GUEST_SWITCHED

    mov x2, #GUEST_DATA
again:
    milestone GUEST_LOOP_BEGIN
    ldr x3, [x2]
loop:
    subs x3, x3, #1
    b.ne loop
    milestone GUEST_LOOP_END
    ldr x3, [x2, #8]
    subs x3, x3, #1
    str x3, [x2, #8]
    b.gt again

    ldr x4, [x2, #16]
    mov x5, #GUEST_PAGES
    mov x6, #GUEST_PAGES_N
write:
    str x4, [x5]
    add x4, x4, #1
    add x5, x5, #GUEST_PAGE_SIZE
    subs x6, x6, #1
    b.ne write
    mov x4, #0
    mov x6, #GUEST_PAGES_N
read:
    sub x5, x5, #GUEST_PAGE_SIZE
    ldr x7, [x5]
    add x4, x4, x7
    subs x6, x6, #1
    b.ne read
    str x4, [x2, #24]
    dsb sy
    milestone GUEST_MEMORY
    milestone GUEST_DONE
    b .
accel_guest_arm_end:

    .section .note.GNU-stack, "", %progbits
