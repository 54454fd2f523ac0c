/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A boot sector that changes the screen at each key: a text, and pictures of three sizes, each time of other colours. B paints the picture that is there
 * again, and A does so without end, until the next key. By QEMU's own VGA registers. */
        .code16
        .globl _start
_start: xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7c00, %sp
        movw %ax, count
        movw %ax, paints
next:   movb $0, %ah            /* until a key comes */
        int $0x16
        movb %ah, key           /* the scan code */
        cmpb $0x1e, %ah
        je picture
        cmpb $0x30, %ah
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
        movw $2, %ax            /* YRES */
        movw sizes + 2(%bx), %cx
        call set
        movw $3, %ax            /* BPP */
        movw $32, %cx
        call set
        movw $4, %ax            /* on, and cleared */
        movw $1, %cx
        call set
picture:
        movw $0xa000, %ax
        movw %ax, %es
        xorw %dx, %dx           /* bank after bank of 64 KiB */
        incw paints
bank:   movw $5, %ax            /* BANK */
        movw %dx, %cx
        call set
        xorw %di, %di
        movw paints, %ax
        imulw $0x5a35, %ax
        addw %dx, %ax
        movw $0x8000, %cx
fill:   stosw
        addw $0x0107, %ax
        loop fill
        incw %dx
        cmpw $19, %dx           /* 640x480 */
        jb bank
        cmpb $0x1e, key
        jne next
        movb $1, %ah
        int $0x16
        jz picture
        jmp next
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
sizes:  .word 640, 480, 1024, 768, 1920, 1080
        .org 510
        .word 0xaa55
        .set count, 0x7e00
        .set paints, 0x7e02
        .set key, 0x7e04
