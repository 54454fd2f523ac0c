/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel-guest-arm.h"
#include "accel-guest.h"

/* Interrupts and timers are left out: a GIC of the host's kind would have to be set up for them. */

extern const char accel_guest_arm[], accel_guest_arm_end[];

#define CORE_REGISTER(member)                                                                                \
    (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |                                                   \
            (offsetof(struct kvm_regs, member) / sizeof(uint32_t)))

int guest_create_vm(int kvm)
{
    int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE), vm;

    /* 40 bits by default, which some processors do not have. */
    vm = ioctl(
            kvm, KVM_CREATE_VM, bits > 0 && bits < 40 ? KVM_VM_TYPE_ARM_IPA_SIZE((unsigned long) bits) : 0UL);
    return vm < 0 ? -errno : vm;
}

int guest_prepare(Guest *guest)
{
    uint64_t pc = ARM_CODE;
    struct kvm_one_reg reg = {.id = CORE_REGISTER(regs.pc), .addr = (uint64_t) (uintptr_t) &pc};
    struct kvm_vcpu_init init;

    memcpy(guest->memory + ARM_CODE, accel_guest_arm, (size_t) (accel_guest_arm_end - accel_guest_arm));
    /* The guest fetches with its caches off. */
    __builtin___clear_cache(guest->memory, guest->memory + GUEST_MEMORY_SIZE);
    if (ioctl(guest->vm, KVM_ARM_PREFERRED_TARGET, &init) < 0 ||
            ioctl(guest->vcpu, KVM_ARM_VCPU_INIT, &init) < 0 || ioctl(guest->vcpu, KVM_SET_ONE_REG, &reg) < 0)
        return -errno;
    return 0;
}

unsigned guest_milestone(const Guest *guest)
{
    const struct kvm_run *run = guest->run;
    uint32_t value;

    if (run->exit_reason != KVM_EXIT_MMIO || run->mmio.phys_addr != ARM_PORT || !run->mmio.is_write ||
            run->mmio.len != sizeof value)
        return 0;
    memcpy(&value, run->mmio.data, sizeof value);
    return value;
}

void guest_loop_on_host(uint64_t iterations)
{
    __asm__ volatile("1: subs %0, %0, #1\n b.ne 1b" : "+r"(iterations) : : "cc");
}
