/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test guest for x86-64: real mode, protected mode, paging and long mode, as a boot loader goes; then the
 * loop, memory, and a sleep that the local APIC's timer ends. Tables are laid out by accel-guest-x86.c. */
#include "accel-guest.h"
#include "accel-guest-x86.h"

#define AT(label) ((label) - accel_guest_x86 + X86_CODE)
#define DATA_ITERATIONS (GUEST_DATA + 0)
#define DATA_REPEATS (GUEST_DATA + 8)
#define DATA_SEED (GUEST_DATA + 16)
#define DATA_SUM (GUEST_DATA + 24)

    .macro milestone number
    movb $\number, %al
    outb %al, $X86_PORT
    .endm

    .section .rodata, "a"
    .globl accel_guest_x86, accel_guest_x86_timer, accel_guest_x86_end
    .hidden accel_guest_x86, accel_guest_x86_timer, accel_guest_x86_end

    .code16
accel_guest_x86:
    cli
    milestone GUEST_BOOTED
    lgdtl AT(gdt_pointer)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $X86_SELECTOR_CODE32, $AT(protected)

    .code32
protected:
    movw $X86_SELECTOR_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $X86_STACK, %esp
    movl %cr4, %eax
    orl $0x20, %eax /* PAE */
    movl %eax, %cr4
    movl $X86_PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx /* EFER */
    rdmsr
    orl $0x100, %eax /* LME */
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax /* PG */
    movl %eax, %cr0
    ljmpl $X86_SELECTOR_CODE64, $AT(long_mode)

    .code64
long_mode:
    lidt AT(idt_pointer)
    milestone GUEST_SWITCHED

again:
    milestone GUEST_LOOP_BEGIN
    movq DATA_ITERATIONS, %rcx
loop:
    decq %rcx
    jnz loop
    milestone GUEST_LOOP_END
    decq DATA_REPEATS
    jg again

    movq DATA_SEED, %rax
    movl $GUEST_PAGES, %edi
    movl $GUEST_PAGES_N, %ecx
write:
    movq %rax, (%rdi)
    incq %rax
    addq $GUEST_PAGE_SIZE, %rdi
    decl %ecx
    jnz write
    xorl %eax, %eax
    movl $GUEST_PAGES_N, %ecx
read:
    subq $GUEST_PAGE_SIZE, %rdi
    addq (%rdi), %rax
    decl %ecx
    jnz read
    movq %rax, DATA_SUM
    milestone GUEST_MEMORY

    movl $X86_APIC, %ebx
    movl $0x1ff, 0xf0(%rbx)             /* spurious vector, enabled */
    movl $0xb, 0x3e0(%rbx)              /* divide by one */
    movl $X86_TIMER_VECTOR, 0x320(%rbx) /* one shot */
    movl $X86_TIMER_FIRST, 0x380(%rbx)
    sti
    hlt
    cli
    milestone GUEST_DONE
    hlt

accel_guest_x86_timer:
    milestone GUEST_TIMER
    movl $0, 0xb0(%rbx) /* end of interrupt */
    /* Nested KVM has been seen to forget that sti holds interrupts back until hlt has begun: the interrupt that came
     * too early is followed by another. */
    movl $X86_TIMER_NEXT, 0x380(%rbx)
    iretq

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 32-bit code */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00af9b000000ffff /* 64-bit code */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long AT(gdt)
idt_pointer:
    .word X86_TIMER_VECTOR * 16 + 15
    .quad X86_IDT
accel_guest_x86_end:

    .section .note.GNU-stack, "", @progbits
