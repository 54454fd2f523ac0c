/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether KVM is of use here: an answer always, in time, nothing left behind, and remembered as long as it
 * holds. */

#include <errno.h>
#include <glib/gstdio.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel-guest.h"
#include "accel-proof.h"
#include "accel.h"
#include "cleanup.h"
#include "value.h"

typedef struct Fixture {
    sd_event *event;
    char *folder, *file;
    Accel *accel;
    const AccelProof *proof; /* the last reply */
    unsigned n_replies;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    f->folder = g_dir_make_tmp("vmd-accel-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "accel", NULL);
    f->accel = accel_new(f->event, f->folder);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    accel_free(f->accel);
    sd_event_unref(f->event);
    g_remove(f->file);
    g_rmdir(f->folder);
    g_free(f->file);
    g_free(f->folder);
}

static void on_proof(const AccelProof *proof, void *userdata)
{
    Fixture *f = userdata;

    f->proof = proof;
    f->n_replies++;
}

/* True when it was known at once. */
static bool ask(Fixture *f)
{
    unsigned before = f->n_replies;
    int64_t start = g_get_monotonic_time();

    f->proof = NULL;
    if (accel_get(f->accel, on_proof, f, &f->proof) == 1)
        return true;
    while (f->n_replies == before) {
        g_assert_cmpint(sd_event_run(f->event, USEC_PER_SEC), >=, 0);
        g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
    }
    return false;
}

static void restart(Fixture *f)
{
    accel_free(f->accel);
    f->accel = accel_new(f->event, f->folder);
}

static bool there_is_a_device(void)
{
    if (access("/dev/kvm", F_OK) == 0)
        return true;
    g_test_skip("there is no /dev/kvm");
    return false;
}

static void test_answer(Fixture *f, gconstpointer data)
{
    bool there = access("/dev/kvm", F_OK) == 0;

    g_assert_null(accel_peek(f->accel));
    g_assert_true(ask(f) == !there);
    g_assert_nonnull(f->proof);
    g_assert_nonnull(f->proof->reason);
    g_test_message("%s: %s", f->proof->kvm ? "yes" : "no", f->proof->reason);
    if (!there) {
        g_assert_false(f->proof->kvm);
        g_assert_true(g_str_has_prefix(f->proof->reason, "/dev/kvm does not exist"));
    }
    /* Nothing is left of the child. */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);

    g_assert_true(accel_peek(f->accel) == f->proof);
    g_assert_true(ask(f));
    g_assert_true(accel_peek(f->accel) == f->proof);
}

static void test_many_ask(Fixture *f, gconstpointer data)
{
    const AccelProof *proof = NULL;
    Fixture other = {};

    if (!there_is_a_device())
        return;
    for (int i = 0; i < 3; i++)
        g_assert_cmpint(accel_get(f->accel, on_proof, f, &proof), ==, 0);
    g_assert_cmpint(accel_get(f->accel, on_proof, &other, &proof), ==, 0);
    accel_cancel(f->accel, &other);
    g_assert_false(ask(f));
    g_assert_cmpuint(f->n_replies, ==, 4);
    g_assert_cmpuint(other.n_replies, ==, 0);
}

static void change_file(Fixture *f, const char *from, const char *to)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) parts = NULL;
    g_autofree char *changed = NULL;

    g_assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
    parts = g_strsplit(text, from, 2);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    changed = g_strjoinv(to, parts);
    g_assert_true(g_file_set_contents(f->file, changed, -1, NULL));
}

static void test_remembered(Fixture *f, gconstpointer data)
{
    static const char *const corrupt[] = {"", "{}", "[]", "garbage", "{\"kvm\": true}"};
    g_autofree char *reason = NULL, *good = NULL;
    struct stat st;
    bool kvm;

    if (!there_is_a_device())
        return;
    g_assert_false(ask(f));
    reason = g_strdup(f->proof->reason);
    kvm = f->proof->kvm;
    g_assert_cmpint(stat(f->file, &st), ==, 0);
    g_assert_true(g_file_get_contents(f->file, &good, NULL, NULL));

    restart(f);
    g_assert_true(ask(f));
    g_assert_true(f->proof->kvm == kvm);
    g_assert_cmpstr(f->proof->reason, ==, reason);

    /* Another boot, another device, another format: asked anew. */
    change_file(f, "\"boot\": \"", "\"boot\": \"0");
    restart(f);
    g_assert_null(accel_peek(f->accel));
    g_assert_false(ask(f));
    change_file(f, "\"mode\": ", "\"mode\": 1");
    restart(f);
    g_assert_false(ask(f));
    change_file(f, "\"format\": ", "\"format\": 9");
    restart(f);
    g_assert_false(ask(f));
    restart(f);
    g_assert_true(ask(f));

    for (size_t i = 0; i < G_N_ELEMENTS(corrupt); i++) {
        g_assert_true(g_file_set_contents(f->file, corrupt[i], -1, NULL));
        restart(f);
        g_assert_null(accel_peek(f->accel));
    }
    g_assert_false(ask(f));
    restart(f);
    g_assert_true(ask(f));
}

/* A "no" of long ago is asked again; what was handed out stays readable. */
static void test_old_no(Fixture *f, gconstpointer data)
{
    const AccelProof *old;

    if (!there_is_a_device())
        return;
    g_assert_false(ask(f));
    if (f->proof->kvm)
        change_file(f, "\"kvm\": true", "\"kvm\": false");
    change_file(f, "\"at\": ", "\"at\": -");
    change_file(f, "\"reason\": \"", "\"reason\": \"long ago: ");
    restart(f);
    old = accel_peek(f->accel);
    g_assert_nonnull(old);
    g_assert_false(ask(f));
    g_assert_true(g_str_has_prefix(old->reason, "long ago: "));
    g_assert_false(g_str_has_prefix(f->proof->reason, "long ago: "));
    g_assert_true(accel_peek(f->accel) == f->proof);
}

static void on_proof_free(const AccelProof *proof, void *userdata)
{
    Fixture *f = userdata;

    on_proof(proof, f);
    g_clear_pointer(&f->accel, accel_free);
}

static void test_freed(Fixture *f, gconstpointer data)
{
    const AccelProof *proof = NULL;

    if (!there_is_a_device())
        return;
    g_assert_cmpint(accel_get(f->accel, on_proof_free, f, &proof), ==, 0);
    g_assert_cmpint(accel_get(f->accel, on_proof, f, &proof), ==, 0);
    while (f->n_replies == 0)
        g_assert_cmpint(sd_event_run(f->event, USEC_PER_SEC), >=, 0);
    g_assert_null(f->accel);
    g_assert_cmpuint(f->n_replies, ==, 1);

    g_assert_cmpint(g_remove(f->file), ==, 0);
    f->accel = accel_new(f->event, f->folder);
    g_assert_cmpint(accel_get(f->accel, on_proof, f, &proof), ==, 0);
    g_clear_pointer(&f->accel, accel_free);
    for (int i = 0; i < 100 && waitid(P_ALL, 0, &(siginfo_t){}, WEXITED | WNOHANG | WNOWAIT) == 0; i++)
        g_assert_cmpint(sd_event_run(f->event, 20000), >=, 0);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpuint(f->n_replies, ==, 1);
}

static void test_reasons(Fixture *f, gconstpointer data)
{
    static const struct {
        ProofNotes notes;
        bool hung, kvm;
        const char *words;
    } cases[] = {
            {{.step = PROOF_DONE, .total_nsec = 3100000}, false, true, "KVM ran a test guest in 3.1 ms"},
            {{.step = PROOF_DONE}, true, false, "KVM hung when asked to end"},
            {{.step = PROOF_OPEN, .error = ENOENT}, false, false, "/dev/kvm does not exist"},
            {{.step = PROOF_OPEN, .error = EACCES}, false, false, "/dev/kvm is not open to th"},
            {{.step = PROOF_OPEN, .error = EIO}, false, false,
                    "/dev/kvm cannot be opened: Input/output error"},
            {{.step = PROOF_CREATE_VM, .error = EBUSY}, false, false, "another hypervisor"},
            {{.step = PROOF_CREATE_VM}, true, false, "KVM hung when asked to create a VM"},
            {{.step = PROOF_CREATE_VCPU, .error = EMFILE}, false, false,
                    "KVM refused to create a vCPU: Too many open files"},
            {{.step = PROOF_RUN}, true, false, "a test guest hung before its first instruction"},
            {{.step = PROOF_RUN, .milestone = GUEST_MEMORY}, true, false,
                    "a test guest hung when it waited for a timer"},
            {{.step = PROOF_RUN, .milestone = GUEST_BOOTED, .exit = KVM_EXIT_SHUTDOWN}, false, false,
                    "a test guest crashed when it switched modes (KVM exit 8)"},
            {{.step = PROOF_RUN,
                     .milestone = GUEST_LOOP_END,
                     .loop_nsec = 140000000,
                     .host_loop_nsec = 14000},
                    false, false, "10000 times slower"},
            {{.step = PROOF_RUN,
                     .milestone = GUEST_LOOP_END,
                     .loop_nsec = 140000000,
                     .host_loop_nsec = 14000},
                    true, false, "10000 times slower"},
            {{.step = PROOF_CHECK, .milestone = GUEST_DONE}, false, false, "other things in its memory"},
            {{.step = 77, .milestone = 99}, true, false, "KVM hung"},
            {{.step = PROOF_RUN, .milestone = 99}, true, false, "a test guest hung at its end"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool kvm = !cases[i].kvm;
        g_autofree char *reason = accel_proof_reason(&cases[i].notes, cases[i].hung, &kvm);

        if (!strstr(reason, cases[i].words))
            g_error("\"%s\" does not say \"%s\"", reason, cases[i].words);
        g_assert_true(kvm == cases[i].kvm);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/accel/answer", Fixture, NULL, set_up, test_answer, tear_down);
    g_test_add("/accel/many-ask", Fixture, NULL, set_up, test_many_ask, tear_down);
    g_test_add("/accel/remembered", Fixture, NULL, set_up, test_remembered, tear_down);
    g_test_add("/accel/old-no", Fixture, NULL, set_up, test_old_no, tear_down);
    g_test_add("/accel/freed", Fixture, NULL, set_up, test_freed, tear_down);
    g_test_add("/accel/reasons", Fixture, NULL, set_up, test_reasons, tear_down);
    return g_test_run();
}
