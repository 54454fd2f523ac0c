/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A boot sector that changes the screen at each key: a text, and pictures of three sizes, each time of other colours. B paints the picture that is there
 * again; A does so without end, until the next key, and N, too, with what looks like noise. By QEMU's own VGA registers; painted is where all of the card's
 * memory is, above the BIOS's reach. */
        .code16
        .globl _start
_start: xorl %eax, %eax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7c00, %sp
        movw %ax, count
        movw %ax, paints
        movw %ax, width
        movw $0x4f01, %ax       /* VBE: where the memory is, of a mode that there is */
        movw $0x112, %cx
        movw $mode, %di
        int $0x10
next:   movb $0, %ah            /* until a key comes */
        int $0x16
        movb %ah, key           /* the scan code */
        cmpb $0x1e, %ah
        je picture
        cmpb $0x30, %ah
        je picture
        cmpb $0x31, %ah
        je picture
        incw count
        movw count, %bx
        andw $3, %bx
        jz text
        decw %bx
        shlw $2, %bx
        movw $4, %ax            /* VBE_DISPI_INDEX_ENABLE: off */
        xorw %cx, %cx
        call set
        movw $1, %ax            /* XRES */
        movw sizes(%bx), %cx
        call set
        movw %cx, width
        movw $2, %ax            /* YRES */
        movw sizes + 2(%bx), %cx
        call set
        movw %cx, height
        movw $3, %ax            /* BPP */
        movw $32, %cx
        call set
        movw $4, %ax            /* on, and cleared */
        movw $0x41, %cx
        call set
picture:
        call flat
        incw paints
        movzwl paints, %eax
        imull $0x00975b35, %eax, %eax
        movl $1, %ebx           /* from pixel to pixel */
        cmpb $0x31, key
        jne 1f
        movl $0x009e3779, %ebx
1:      movl base, %edi
        movw height, %dx
row:    movzwl width, %ecx
        jecxz next_key          /* there is a text */
        movl %eax, %esi
fill:   movl %eax, %es:(%edi)
        addl $4, %edi
        addl %ebx, %eax
        decl %ecx
        jnz fill
        leal 0x100(%esi), %eax
        decw %dx
        jnz row
        cmpb $0x1e, key
        je 1f
        cmpb $0x31, key
        jne next
1:      movb $1, %ah
        int $0x16
        jz picture
next_key: jmp next
text:   movw $4, %ax
        xorw %cx, %cx
        call set
        movw $3, %ax            /* 80x25 */
        int $0x10
        movw $0xb800, %ax
        movw %ax, %es
        movw count, %ax
        xorw %di, %di
        movw $2000, %cx
1:      stosw
        addw $0x0101, %ax
        loop 1b
        jmp next
set:    pushw %dx
        movw $0x1ce, %dx
        outw %ax, %dx
        incw %dx
        movw %cx, %ax
        outw %ax, %dx
        popw %dx
        ret
        /* es reaches 4 GiB from 0 on: what it had in protected mode stays. */
flat:   cli
        lgdt table
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        jmp 1f
1:      movw $8, %bx
        movw %bx, %es
        andb $0xfe, %al
        movl %eax, %cr0
        jmp 1f
1:      sti
        ret
sizes:  .word 640, 480, 1024, 768, 1920, 1080
gdt:    .quad 0
        .quad 0x00cf92000000ffff
table:  .word . - gdt - 1
        .long gdt
        .org 510
        .word 0xaa55
        .set count, 0x7e00
        .set paints, 0x7e02
        .set key, 0x7e04
        .set width, 0x7e08
        .set height, 0x7e0a
        .set mode, 0x8000
        .set base, mode + 0x28
