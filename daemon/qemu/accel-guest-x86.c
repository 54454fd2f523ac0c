/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accel-guest-x86.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel-guest.h"

/* Where QEMU has them: below the BIOS, out of the way of memory. */
#define TSS_ADDRESS 0xfffbd000UL
#define IDENTITY_MAP_ADDRESS 0xfffbc000UL

#define CPUID_ENTRIES 256

#define PAGE_PRESENT 1U
#define PAGE_WRITABLE 2U
#define PAGE_UNCACHED 0x10U
#define PAGE_LARGE 0x80U

extern const char accel_guest_x86[], accel_guest_x86_timer[], accel_guest_x86_end[];

static int kvm_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int guest_create_vm(int kvm)
{
    struct kvm_pit_config pit = {};
    uint64_t identity_map = IDENTITY_MAP_ADDRESS;
    int vm, r;

    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0)
        return -errno;
    r = kvm_ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    if (r >= 0)
        r = ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDRESS) < 0 ? -errno : 0;
    if (r >= 0)
        r = kvm_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
    if (r >= 0)
        r = kvm_ioctl(vm, KVM_CREATE_PIT2, &pit);
    return r < 0 ? r : vm;
}

static void put64(Guest *guest, uint64_t address, uint64_t value)
{
    memcpy(guest->memory + address, &value, sizeof value);
}

static void lay_out_memory(Guest *guest)
{
    uint64_t handler = (uint64_t) (accel_guest_x86_timer - accel_guest_x86) + X86_CODE;

    memcpy(guest->memory + X86_CODE, accel_guest_x86, (size_t) (accel_guest_x86_end - accel_guest_x86));

    /* The first 2 MiB and the local APIC's page, both at their own addresses. */
    put64(guest, X86_PML4, X86_PDPT | PAGE_PRESENT | PAGE_WRITABLE);
    put64(guest, X86_PDPT, X86_PD_LOW | PAGE_PRESENT | PAGE_WRITABLE);
    put64(guest, X86_PDPT + 3 * 8, X86_PD_HIGH | PAGE_PRESENT | PAGE_WRITABLE);
    put64(guest, X86_PD_LOW, PAGE_LARGE | PAGE_PRESENT | PAGE_WRITABLE);
    put64(guest, X86_PD_HIGH + ((X86_APIC >> 21) & 511) * 8,
            (X86_APIC & ~0x1fffffULL) | PAGE_LARGE | PAGE_UNCACHED | PAGE_PRESENT | PAGE_WRITABLE);

    /* An interrupt gate; its handler is below 64 KiB. Any other interrupt or fault ends the guest. */
    put64(guest, X86_IDT + X86_TIMER_VECTOR * 16, handler | X86_SELECTOR_CODE64 << 16 | 0x8e00ULL << 32);
    put64(guest, X86_IDT + X86_TIMER_VECTOR * 16 + 8, 0);
}

int guest_prepare(Guest *guest)
{
    uint64_t cpuid_space[(sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2)) / 8];
    struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *) cpuid_space;
    struct kvm_regs regs = {.rip = X86_CODE, .rflags = 2};
    struct kvm_sregs sregs;
    int r;

    lay_out_memory(guest);
    memset(cpuid_space, 0, sizeof cpuid_space);
    cpuid->nent = CPUID_ENTRIES;
    r = kvm_ioctl(guest->kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
    if (r >= 0)
        r = kvm_ioctl(guest->vcpu, KVM_SET_CPUID2, cpuid);
    if (r >= 0)
        r = kvm_ioctl(guest->vcpu, KVM_GET_SREGS, &sregs);
    if (r < 0)
        return r;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    r = kvm_ioctl(guest->vcpu, KVM_SET_SREGS, &sregs);
    if (r >= 0)
        r = kvm_ioctl(guest->vcpu, KVM_SET_REGS, &regs);
    return r;
}

unsigned guest_milestone(const Guest *guest)
{
    const struct kvm_run *run = guest->run;

    if (run->exit_reason != KVM_EXIT_IO || run->io.port != X86_PORT || run->io.direction != KVM_EXIT_IO_OUT ||
            run->io.size != 1 || run->io.count != 1)
        return 0;
    return *((const unsigned char *) run + run->io.data_offset);
}

void guest_loop_on_host(uint64_t iterations)
{
    __asm__ volatile("1: decq %0\n jnz 1b" : "+r"(iterations) : : "cc");
}
