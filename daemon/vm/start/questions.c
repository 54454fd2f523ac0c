/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "questions.h"

#include "manager.h"

struct Questions {
    Manager *manager;
    const Settings *settings;
    QuestionsDone done;
    void *userdata;
    Answers answers;
};

Questions *questions_new(Manager *manager, const Settings *settings, QuestionsDone done, void *userdata)
{
    Questions *questions = g_new0(Questions, 1);
    questions->manager = manager;
    questions->settings = settings;
    questions->done = done;
    questions->userdata = userdata;
    return questions;
}

void questions_free(Questions *questions)
{
    if (!questions)
        return;
    qemu_builds_cancel(questions->manager->builds, questions);
    accel_cancel(questions->manager->accel, questions);
    trees_forget(questions->manager->trees, questions);
    qemu_tree_unref(questions->answers.tree);
    if (questions->answers.build)
        qemu_build_unref(questions->answers.build);
    g_free(questions->answers.accelerator_reason);
    g_free(questions);
}

static void on_proof(const AccelProof *proof, void *userdata)
{
    Questions *questions = userdata;
    Answers *answers = &questions->answers;
    bool required = g_str_equal(settings_get_string(questions->settings, "VM", "Accelerator"), "kvm");
    g_autoptr(Error) error = NULL;

    answers->kvm = proof->kvm && qemu_build_has_kvm(answers->build);
    answers->accelerator_reason = proof->kvm && !answers->kvm ? g_strdup_printf("%s was built without KVM", qemu_build_path(answers->build))
                                                              : g_strdup(proof->reason);
    if (required && !answers->kvm)
        error_set(&error, ERROR_UNSUPPORTED, "Accelerator=kvm", "Use Accelerator=auto, or mend the cause", "%s", answers->accelerator_reason);
    questions->done(error ? NULL : answers, error, questions->userdata);
}

static void ask_accelerator(Questions *questions)
{
    const AccelProof *proof = NULL;
    if (g_str_equal(settings_get_string(questions->settings, "VM", "Accelerator"), "tcg")) {
        questions->answers.accelerator_reason = g_strdup("Accelerator=tcg is set");
        return questions->done(&questions->answers, NULL, questions->userdata);
    }
    if (accel_get(questions->manager->accel, on_proof, questions, &proof) > 0)
        on_proof(proof, questions);
}

static void on_build(QemuBuild *build, const Error *error, void *userdata)
{
    Questions *questions = userdata;
    if (error)
        return questions->done(NULL, error, questions->userdata);
    questions->answers.build = qemu_build_ref(build);
    ask_accelerator(questions);
}

static void ask_build(Questions *questions)
{
    g_autoptr(Error) error = NULL;
    Answers *answers = &questions->answers;
    const char *set = settings_get_string(questions->settings, "QEMU", "Binary");
    g_autofree char *binary = set ? g_strdup(set) : qemu_find_binary(answers->tree, &error);
    if (!binary)
        return questions->done(NULL, error, questions->userdata);

    int r = qemu_builds_get(questions->manager->builds, answers->tree, binary, on_build, questions, &answers->build);
    if (r < 0) {
        error_set_errno(&error, r, binary, "it cannot be asked what it can do");
        questions->done(NULL, error, questions->userdata);
    } else if (r > 0)
        ask_accelerator(questions);
}

static void on_tree(QemuTree *tree, const Error *error, void *userdata)
{
    Questions *questions = userdata;
    if (error)
        return questions->done(NULL, error, questions->userdata);
    questions->answers.tree = qemu_tree_ref(tree);
    ask_build(questions);
}

void questions_ask(Questions *questions)
{
    g_autoptr(Error) error = NULL;
    const char *root = settings_get_string(questions->settings, "QEMU", "Root");
    if (!root)
        ask_build(questions);
    else if (!trees_get(questions->manager->trees, root, on_tree, questions, &error))
        questions->done(NULL, error, questions->userdata);
}
