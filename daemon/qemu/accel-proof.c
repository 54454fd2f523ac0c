/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accel-proof.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "accel-guest.h"

#define LOOP_ITERATIONS 20000U
#define LOOP_REPEATS 3U

/* A processor needs 20 µs for the loop, one that is itself emulated some 200; instruction by instruction in
 * software it is 30 ms and more. The way out of the guest and back, which is in the measure, is at most
 * hundreds of microseconds where KVM is nested. */
#define LOOP_SLOW_NSEC (5 * 1000 * 1000)
#define LOOP_SLOW_RATIO 100U

static uint64_t now_nsec(void)
{
    struct timespec ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000000U + (uint64_t) ts.tv_nsec;
}

static int fail(ProofNotes *notes, int error)
{
    notes->error = error < 0 ? -error : error;
    return 1;
}

static void measure_host(ProofNotes *notes)
{
    for (unsigned i = 0; i < LOOP_REPEATS; i++) {
        uint64_t start = now_nsec(), took;

        guest_loop_on_host(LOOP_ITERATIONS);
        took = now_nsec() - start;
        if (i == 0 || took < notes->host_loop_nsec)
            notes->host_loop_nsec = took;
    }
}

static bool loop_is_slow(const ProofNotes *notes)
{
    return notes->loop_nsec > LOOP_SLOW_NSEC && notes->loop_nsec / LOOP_SLOW_RATIO > notes->host_loop_nsec;
}

static int create(Guest *guest, ProofNotes *notes)
{
    struct kvm_userspace_memory_region region = {.memory_size = GUEST_MEMORY_SIZE};
    void *memory, *run;
    int version, size, r;

    notes->step = PROOF_OPEN;
    guest->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (guest->kvm < 0)
        return fail(notes, errno);
    notes->step = PROOF_VERSION;
    version = ioctl(guest->kvm, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return fail(notes, version < 0 ? errno : ENOTSUP);
    notes->step = PROOF_CREATE_VM;
    guest->vm = guest_create_vm(guest->kvm);
    if (guest->vm < 0)
        return fail(notes, guest->vm);

    notes->step = PROOF_CREATE_MEMORY;
    memory = mmap(NULL, GUEST_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fail(notes, errno);
    guest->memory = memory;
    region.userspace_addr = (uint64_t) (uintptr_t) memory;
    if (ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return fail(notes, errno);

    notes->step = PROOF_CREATE_VCPU;
    guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
    if (guest->vcpu < 0)
        return fail(notes, errno);
    size = ioctl(guest->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int) sizeof *guest->run)
        return fail(notes, EINVAL);
    run = mmap(NULL, (size_t) size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);
    if (run == MAP_FAILED)
        return fail(notes, errno);
    guest->run = run;

    notes->step = PROOF_SET_UP;
    r = guest_prepare(guest);
    return r < 0 ? fail(notes, r) : 0;
}

/* Runs to the next milestone. */
static int run_on(Guest *guest, ProofNotes *notes)
{
    unsigned milestone;

    while (ioctl(guest->vcpu, KVM_RUN, 0) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return fail(notes, errno);
    milestone = guest_milestone(guest);
    if (milestone == 0) {
        notes->exit = guest->run->exit_reason;
        return 1;
    }
    notes->milestone = milestone;
    return 0;
}

static int run_all(Guest *guest, GuestData *data, ProofNotes *notes)
{
    uint64_t start = 0, took;
    int r;

    notes->step = PROOF_RUN;
    while (notes->milestone != GUEST_DONE) {
        r = run_on(guest, notes);
        if (r != 0)
            return r;
        if (notes->milestone == GUEST_LOOP_BEGIN)
            start = now_nsec();
        if (notes->milestone != GUEST_LOOP_END)
            continue;
        took = now_nsec() - start;
        if (notes->loop_nsec == 0 || took < notes->loop_nsec)
            notes->loop_nsec = took;
        if (!loop_is_slow(notes))
            data->repeats = 1; /* enough */
        else if (data->repeats == 1)
            return 1;
    }
    return 0;
}

static bool memory_is_right(const Guest *guest, const GuestData *data)
{
    uint64_t sum = 0, value;

    for (uint64_t i = 0; i < GUEST_PAGES_N; i++) {
        memcpy(&value, guest->memory + GUEST_PAGES + i * GUEST_PAGE_SIZE, sizeof value);
        if (value != data->seed + i)
            return false;
        sum += value;
    }
    return sum == data->sum;
}

int accel_proof_run(void *argument)
{
    ProofNotes *notes = argument;
    uint64_t start = now_nsec();
    Guest guest = {};
    GuestData *data;
    int r;

    measure_host(notes);
    r = create(&guest, notes);
    if (r != 0)
        return r;
    data = (GuestData *) (guest.memory + GUEST_DATA);
    *data = (GuestData){.iterations = LOOP_ITERATIONS, .repeats = LOOP_REPEATS, .seed = start};
    r = run_all(&guest, data, notes);
    if (r != 0)
        return r;
    notes->step = PROOF_CHECK;
    if (!memory_is_right(&guest, data))
        return 1;
    notes->total_nsec = now_nsec() - start;
    notes->step = PROOF_DONE;
    return 0;
}

static const char *const milestone_names[] = {
        [0] = "before its first instruction",
        [GUEST_BOOTED] = "when it switched modes",
        [GUEST_SWITCHED] = "in the mode that operating systems run in",
        [GUEST_LOOP_BEGIN] = "in a loop",
        [GUEST_LOOP_END] = "when it wrote to its memory",
        [GUEST_MEMORY] = "when it waited for a timer",
        [GUEST_TIMER] = "after a timer's interrupt",
        [GUEST_DONE] = "at its end",
};

static char *open_reason(int error)
{
    if (error == ENOENT)
        return g_strdup(
                "/dev/kvm does not exist: the processor has no virtualization, it is switched off in the "
                "firmware, or the module kvm_intel or kvm_amd is not loaded");
    if ((error == EACCES || error == EPERM) && geteuid() != 0)
        return g_strdup(
                "/dev/kvm is not open to this user, who must be in its group for that (most often kvm)");
    if (error == EACCES || error == EPERM)
        return g_strdup("/dev/kvm is not open to the users that QEMU runs as: its group must be kvm and its "
                        "mode 0660");
    return g_strdup_printf("/dev/kvm cannot be opened: %s", g_strerror(error));
}

static char *run_reason(const ProofNotes *notes, bool hung)
{
    const char *where = milestone_names[MIN(notes->milestone, GUEST_DONE)];

    if (notes->milestone == GUEST_LOOP_END && loop_is_slow(notes) && !notes->exit && !notes->error)
        return g_strdup_printf(
                "KVM ran a test guest %u times slower than the processor is: it emulates each instruction",
                (unsigned) MIN(notes->loop_nsec / MAX(notes->host_loop_nsec, 1), 1000000U));
    if (hung)
        return g_strdup_printf("a test guest hung %s", where);
    if (notes->error)
        return g_strdup_printf("KVM could not run a test guest (%s): %s", where, g_strerror(notes->error));
    return g_strdup_printf("a test guest crashed %s (KVM exit %u)", where, notes->exit);
}

char *accel_proof_reason(const ProofNotes *notes, bool hung, bool *ret_kvm)
{
    static const char *const steps[_PROOF_STEP_MAX] = {
            [PROOF_OPEN] = "open /dev/kvm",
            [PROOF_VERSION] = "agree with KVM on a version",
            [PROOF_CREATE_VM] = "create a VM",
            [PROOF_CREATE_MEMORY] = "give it memory",
            [PROOF_CREATE_VCPU] = "create a vCPU",
            [PROOF_SET_UP] = "set the vCPU up",
            [PROOF_RUN] = "run a test guest",
            [PROOF_CHECK] = "check a test guest",
            [PROOF_DONE] = "end",
    };
    uint32_t step = MIN(notes->step, _PROOF_STEP_MAX - 1);

    *ret_kvm = step == PROOF_DONE && !hung;
    if (*ret_kvm)
        return g_strdup_printf("KVM ran a test guest in %.3g ms", (double) notes->total_nsec / 1e6);
    if (step == PROOF_RUN)
        return run_reason(notes, hung);
    if (step == PROOF_CHECK)
        return g_strdup("a test guest found other things in its memory than it had written");
    if (hung)
        return g_strdup_printf("KVM hung when asked to %s", steps[step]);
    if (step == PROOF_OPEN)
        return open_reason(notes->error);
    if (step == PROOF_CREATE_VM && notes->error == EBUSY)
        return g_strdup("another hypervisor on this host uses the processor's virtualization");
    return g_strdup_printf("KVM refused to %s: %s", steps[step], g_strerror(notes->error));
}
