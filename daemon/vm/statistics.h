/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Statistics: what a VM that runs has used so far, as the kernel and QEMU count it.
 *
 * Nothing is counted, kept or asked for while nobody wants to know. Who asks shares what is being read with others, and gets what
 * was read a moment ago; so a QEMU has one round of questions at most to answer, however many ask. One that does not answer
 * keeps nobody: what the kernel says is told without it, and it is asked nothing more before it has answered. The guest's balloon driver,
 * which can only be told to report every so often, reports for as long as somebody goes on asking.
 *
 * Belongs to the Instance; made when somebody asks for the first time. Called by vm-statistics.c. */

#include "figures.h"
#include "instance.h"

/* Either figures (borrowed), with when they were read (µs, CLOCK_MONOTONIC), or an Error: it ended meanwhile. Comes once, perhaps before the call
 * returns; it asks nothing of the same VM from within. */
typedef void (*StatisticsDone)(const Figures *figures, uint64_t time, const Error *error, void *userdata);

/* Errors: NotRunning. */
bool vm_read_statistics(VM *vm, StatisticsDone done, void *userdata, Error **ret_error);

/* A vmd that was here before may have left the guest reporting. */
void statistics_recover(Instance *instance);

/* Answers who still waits. NULL is fine. */
void statistics_free(Statistics *statistics);
