/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the x86 test guest has its things; shared by its assembly and accel-guest-x86.c. */

#define X86_CODE 0x1000
#define X86_PML4 0x2000
#define X86_PDPT 0x3000
#define X86_PD_LOW 0x4000
#define X86_PD_HIGH 0x5000
#define X86_IDT 0x6000
#define X86_STACK 0x9000

#define X86_SELECTOR_CODE32 0x08
#define X86_SELECTOR_DATA 0x10
#define X86_SELECTOR_CODE64 0x18

#define X86_PORT 0xe9
#define X86_APIC 0xfee00000
#define X86_TIMER_VECTOR 0x40

/* In ticks of the local APIC's timer, which KVM lets run at 1 GHz. */
#define X86_TIMER_FIRST 100000
#define X86_TIMER_NEXT 20000000
