/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions: what a start must know before it can open anything: which QEMU, what it can do, and whether
 * KVM runs a guest here. Only the first start ever waits for the answers. */

#include "accel.h"
#include "build.h"
#include "settings.h"
#include "vm.h"

typedef struct Answers {
    QemuBuild *build;
    QemuTree *tree; /* that it is from; NULL: the host */
    bool kvm;
    char *accelerator_reason; /* why that accelerator, for people */
} Answers;

/* Either is set, both borrowed; `answers` until questions_free(). */
typedef void (*QuestionsDone)(const Answers *answers, const Error *error, void *userdata);

typedef struct Questions Questions;

/* `settings` must outlive it. */
Questions *questions_new(Manager *manager, const Settings *settings, QuestionsDone done, void *userdata);

/* `done` comes once, perhaps before this returns. */
void questions_ask(Questions *questions);

/* Also from `done`, and before it: then it does not come. */
void questions_free(Questions *questions);
