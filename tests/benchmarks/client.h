/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* bench-client: takes each sample of the bench.
 *
 * It reads a request a line, words with a tab between them, and answers each with a line: "ok" and numbers,
 * or "error" and a text. Who asks (measure) decides what is measured when; here is only what has to be near
 * the clock. All times are milliseconds of CLOCK_MONOTONIC, taken directly before the first and directly
 * after the last step that the request names; what a step needs is made before. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define REPLY_TIMEOUT_USEC (120 * UINT64_C(1000000))

double now_ms(void);

/* The answers. Each request gives exactly one. */
int answer(const double *numbers, size_t n);
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The client's own connection to the system bus, made at the first use. NULL: no bus. */
sd_bus *system_bus(void);

/* A request: its words after the verb, NULL at the end. */
typedef int (*Verb)(char **words);

/* bus.c */
int verb_call(char **words); /* DESTINATION PATH INTERFACE METHOD [SIGNATURE VALUE]: ms to the reply */
int verb_get(
        char **words); /* DESTINATION PATH INTERFACE PROPERTY COUNT: reads a second, one after the other */
int verb_list(char **words); /* DESTINATION: ms of ListVMs, how many VMs, how many of them run */
int verb_transient(
        char **words); /* UNIT SLICE: ms from StartTransientUnit of a sleeping process to JobRemoved */

/* process.c */
int verb_run(char **words); /* PROGRAM ARGUMENT...: ms from its start to its exit, which must be with 0 */
int verb_qemu(
        char **words); /* TEMPLATE [PROGRAM ARGUMENT...]: ms until its "cont" is answered, ms from SIGKILL to
                          reaped; with a program it is that, and QEMU's words are its last arguments */

/* crowd.c */
int verb_crowd_call(char **words); /* WORKERS DESTINATION INTERFACE METHOD PATH...: ms until the last reply */
int verb_crowd_qemu(char **words); /* WORKERS COUNT TEMPLATE: ms until the last "cont" is answered */

/* libvirt.c */
int verb_libvirt_start(char **words);   /* NAME: ms */
int verb_libvirt_destroy(char **words); /* NAME: ms */
int verb_libvirt_list(
        char **words); /* ms from connecting to the list, how many domains, how many of them run */
int verb_libvirt_crowd_start(char **words); /* WORKERS NAME...: ms until the last has started */
