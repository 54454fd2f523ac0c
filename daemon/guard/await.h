/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Await: what QEMU's guard and that of a helper both wait with: the clock, signals as a descriptor, and the word to go. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)

uint64_t now_usec(void);

/* All signals are blocked, and those that mean something are read from the descriptor that this returns. What was inherited
 * as ignored is not: without SIGCHLD there is no exit status. */
int signals_open(const int *wanted, size_t n);

/* Waits for the byte on --go, which may be -1. False when the start was given up: the pipe was closed, or `other` has something. */
bool wait_go(int go, int other);
