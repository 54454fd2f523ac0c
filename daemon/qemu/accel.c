/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "accel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <systemd/sd-id128.h>

#include "accel-proof.h"
#include "child.h"
#include "json-file.h"
#include "qmp-message.h"
#include "quote.h"
#include "value.h"

#define DEVICE "/dev/kvm"
#define FORMAT 1
#define FILE_MAX 4096U
#define REASON_MAX 300U

#define PROOF_TIMEOUT_USEC (2 * USEC_PER_SEC)
#define PROOF_TRIES 2U

/* What stood in the way may go away, so a "no" is asked again. */
#define NO_USEC (10 * 60 * USEC_PER_SEC)

/* What the answer holds for: this node, with these rights. */
typedef struct DeviceIdentity {
    uint64_t node, device, inode, mode, uid, gid;
} DeviceIdentity;

static const struct {
    const char *key;
    size_t offset;
} identity_members[] = {
        {"node", offsetof(DeviceIdentity, node)},
        {"device", offsetof(DeviceIdentity, device)},
        {"inode", offsetof(DeviceIdentity, inode)},
        {"mode", offsetof(DeviceIdentity, mode)},
        {"uid", offsetof(DeviceIdentity, uid)},
        {"gid", offsetof(DeviceIdentity, gid)},
};

typedef struct Waiter {
    AccelReply reply;
    void *userdata;
} Waiter;

struct Accel {
    unsigned n_ref; /* the owner's, and one while a callback may free us */
    sd_event *event;
    char *path;              /* NULL: memory only */
    GPtrArray *proofs;       /* AccelProof; the last one holds, the others may still be referred to */
    DeviceIdentity identity; /* of the last one */
    uint64_t proved_at;      /* CLOCK_BOOTTIME, µs */
    Child *child;
    DeviceIdentity asked; /* the child's */
    unsigned n_tries;
    GQueue waiters;
};

static uint64_t boottime_usec(void)
{
    struct timespec ts;

    (void) clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static void proof_free(AccelProof *proof)
{
    g_free(proof->reason);
    g_free(proof);
}

static AccelProof *last_proof(const Accel *accel)
{
    return accel->proofs->len > 0 ? accel->proofs->pdata[accel->proofs->len - 1] : NULL;
}

/* A device that is not there has an identity too: all zeroes. */
static DeviceIdentity read_identity(void)
{
    struct stat st;

    if (stat(DEVICE, &st) < 0)
        return (DeviceIdentity){};
    return (DeviceIdentity){
            .node = st.st_rdev,
            .device = st.st_dev,
            .inode = st.st_ino,
            .mode = st.st_mode,
            .uid = st.st_uid,
            .gid = st.st_gid,
    };
}

static bool identity_equal(const DeviceIdentity *a, const DeviceIdentity *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool proof_holds(const Accel *accel, const DeviceIdentity *identity)
{
    const AccelProof *proof = last_proof(accel);
    uint64_t now = boottime_usec();

    return proof && identity_equal(&accel->identity, identity) &&
           (proof->kvm || (now >= accel->proved_at && now - accel->proved_at < NO_USEC));
}

/* Takes `reason` over. A proof that says the same as the last one only renews it. */
static const AccelProof *set_proof(Accel *accel, bool kvm, char *reason, const DeviceIdentity *identity)
{
    AccelProof *proof = last_proof(accel);

    accel->identity = *identity;
    accel->proved_at = boottime_usec();
    if (proof && proof->kvm == kvm && strcmp(proof->reason, reason) == 0) {
        g_free(reason);
        return proof;
    }
    proof = g_new(AccelProof, 1);
    *proof = (AccelProof){.kvm = kvm, .reason = reason};
    g_ptr_array_add(accel->proofs, proof);
    return proof;
}

static bool read_boot_id(char *ret)
{
    sd_id128_t id;

    if (sd_id128_get_boot(&id) < 0)
        return false;
    sd_id128_to_string(id, ret);
    return true;
}

static void save_proof(const Accel *accel)
{
    const AccelProof *proof = last_proof(accel);
    char boot[SD_ID128_STRING_MAX];
    g_autoptr(QmpMessage) json = NULL;

    if (!accel->path || !read_boot_id(boot))
        return;
    json = json_pack("{s:i, s:s, s:I, s:b, s:s}", "format", FORMAT, "boot", boot, "at",
            (json_int_t) accel->proved_at, "kvm", proof->kvm, "reason", proof->reason);
    if (!json)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(identity_members); i++) {
        const uint64_t *member =
                (const uint64_t *) ((const char *) &accel->identity + identity_members[i].offset);

        json_object_set_new(json, identity_members[i].key, json_integer((json_int_t) *member));
    }
    (void) json_file_save(accel->path, json);
}

static void load_proof(Accel *accel)
{
    g_autoptr(QmpMessage) json = json_file_load(accel->path, FILE_MAX);
    const char *boot = json_string_value(json_object_get(json, "boot"));
    const char *reason = json_string_value(json_object_get(json, "reason"));
    const json_t *kvm = json_object_get(json, "kvm"), *at = json_object_get(json, "at");
    char this_boot[SD_ID128_STRING_MAX];
    DeviceIdentity identity = {};

    if (!boot || !reason || !json_is_boolean(kvm) || !json_is_integer(at) || !read_boot_id(this_boot) ||
            strcmp(boot, this_boot) != 0 || json_integer_value(json_object_get(json, "format")) != FORMAT)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(identity_members); i++) {
        const json_t *member = json_object_get(json, identity_members[i].key);

        if (!json_is_integer(member))
            return;
        *(uint64_t *) ((char *) &identity + identity_members[i].offset) =
                (uint64_t) json_integer_value(member);
    }
    (void) set_proof(accel, json_is_true(kvm), quote_words(reason, strlen(reason), REASON_MAX), &identity);
    accel->proved_at = (uint64_t) json_integer_value(at);
}

Accel *accel_new(sd_event *event, const char *runtime_dir)
{
    Accel *accel = g_new0(Accel, 1);

    accel->n_ref = 1;
    accel->event = sd_event_ref(event);
    accel->proofs = g_ptr_array_new_with_free_func((GDestroyNotify) proof_free);
    g_queue_init(&accel->waiters);
    if (runtime_dir) {
        accel->path = g_build_filename(runtime_dir, "accel", NULL);
        load_proof(accel);
    }
    return accel;
}

static void accel_unref(Accel *accel)
{
    if (--accel->n_ref > 0)
        return;
    g_queue_clear_full(&accel->waiters, g_free);
    g_ptr_array_unref(accel->proofs);
    sd_event_unref(accel->event);
    g_free(accel->path);
    g_free(accel);
}

void accel_free(Accel *accel)
{
    if (!accel)
        return;
    g_queue_clear_full(&accel->waiters, g_free);
    g_clear_pointer(&accel->child, child_free);
    accel_unref(accel);
}

static void deliver(Accel *accel, const AccelProof *proof)
{
    Waiter *waiter;

    accel->n_ref++;
    while ((waiter = g_queue_pop_head(&accel->waiters))) {
        waiter->reply(proof, waiter->userdata);
        g_free(waiter);
    }
    accel_unref(accel);
}

static int start_child(Accel *accel);

static void on_child_ended(Child *child, const ChildEnd *end, void *userdata)
{
    Accel *accel = userdata;
    bool hung = end->timed_out, kvm = false;
    g_autofree char *reason = NULL;
    const AccelProof *proof;

    if (end->failed)
        reason = g_strdup_printf(
                "a test of KVM could not be run: cannot %s: %s", end->failed_step, g_strerror(end->failed));
    else
        reason = accel_proof_reason(child_notes(child), hung, &kvm);
    g_clear_pointer(&accel->child, child_free);

    /* Once may be bad luck. */
    if (hung && ++accel->n_tries < PROOF_TRIES && start_child(accel) >= 0)
        return;
    proof = set_proof(accel, kvm, g_steal_pointer(&reason), &accel->asked);
    save_proof(accel);
    deliver(accel, proof);
}

/* QEMU is no root: the proof runs without privileges too, in the group that the device is open to. */
static int start_child(Accel *accel)
{
    gid_t gid = accel->asked.gid != 0 ? (gid_t) accel->asked.gid : UNPRIVILEGED_ID;

    return child_new(accel->event,
            &(ChildOptions){
                    .run = accel_proof_run,
                    .uid = UNPRIVILEGED_ID,
                    .gid = gid,
                    .fd = -1,
                    .timeout_usec = PROOF_TIMEOUT_USEC,
            },
            on_child_ended, accel, &accel->child);
}

int accel_get(Accel *accel, AccelReply reply, void *userdata, const AccelProof **ret)
{
    DeviceIdentity identity = read_identity();
    Waiter *waiter;
    int r;

    if (!accel->child) {
        if (proof_holds(accel, &identity)) {
            *ret = last_proof(accel);
            return 1;
        }
        if (identity_equal(&identity, &(DeviceIdentity){})) {
            *ret = set_proof(accel, false,
                    accel_proof_reason(&(ProofNotes){.error = ENOENT}, false, &(bool){false}), &identity);
            return 1;
        }
        accel->asked = identity;
        accel->n_tries = 0;
        r = start_child(accel);
        if (r < 0) {
            *ret = set_proof(accel, false,
                    g_strdup_printf("a test of KVM could not be run: %s", g_strerror(-r)),
                    &(DeviceIdentity){1});
            return 1;
        }
    }
    waiter = g_new(Waiter, 1);
    *waiter = (Waiter){.reply = reply, .userdata = userdata};
    g_queue_push_tail(&accel->waiters, waiter);
    return 0;
}

const AccelProof *accel_peek(const Accel *accel)
{
    return last_proof(accel);
}

void accel_cancel(Accel *accel, void *userdata)
{
    for (GList *l = accel->waiters.head, *next; l; l = next) {
        Waiter *waiter = l->data;

        next = l->next;
        if (waiter->userdata != userdata)
            continue;
        g_queue_delete_link(&accel->waiters, l);
        g_free(waiter);
    }
}
