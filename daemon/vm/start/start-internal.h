/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Start: what the two halves of a start share: start.c, which opens all that it needs and makes the command line, and launch.c, from
 * the guard's birth until the guest runs. Nobody else includes this. */

#include "command.h"
#include "interfaces.h"
#include "machined.h"
#include "nvram.h"
#include "open.h"
#include "passthrough.h"
#include "questions.h"
#include "scope.h"
#include "sources.h"
#include "steps.h"

struct Start {
    VM *vm;
    Instance *instance;
    Settings *settings;
    Questions *questions;
    QemuBuild *build;  /* borrowed from the answers */
    SourcesOpening *sources; /* while they are being opened */
    Interfaces *interfaces; /* NULL: none */
    bool interfaces_open;
    Passthrough *passthrough; /* NULL: none */
    bool passthrough_open;
    char **devices; /* nodes that its QEMU opens; NULL: none */
    NvramOpening *nvram; /* NULL: no UEFI */
    bool nvram_open;
    MachinedWait *listed; /* NULL: machined does not know of a run before this */
    bool listening; /* for remote viewers, or nobody is to */
    Error *error;      /* why it fails; set once */
    VMDone done;
    void *userdata;

    bool restoring;
    Opened opened;
    char uuid[SD_ID128_UUID_STRING_MAX];
    char *saved_machine;
    int saved_fd;
    Command *command;
    int go_fd;         /* write end; -1 where QEMU was started at once */

    sd_event_source *cancel; /* start_cancel()'s */
    ScopeJob *scope_job;
    bool spawning, in_place; /* the guard is being born; into the scope's cgroup */
    bool scope_active, helpers_ready, looking, going;
    unsigned retries;
    sd_event_source *timer; /* the retry's, then the whole start's limit */
};

/* The way out of every step. Takes the error. */
void start_fail(Start *start, Error *error);
void start_free(Start *start);

/* launch.c: when all is open and QEMU's monitor socket is connected. */
void start_launch(Start *start);
