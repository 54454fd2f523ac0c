/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bare QEMU: a command line that vmd made, started without vmd.
 *
 * A template is such a command line and how to make each descriptor that it names again. It is a file of
 * strings, a NUL behind each: the recipes, an empty string, the words. A recipe is "FD=monitor" or
 * "FD=listen" (a listening socket; QMP is spoken on the first), "FD=pair" (one end of a socket pair),
 * "FD=open:FLAGS:PATH" or "FD=tap:LINK". */

#include <sys/types.h>

typedef struct Template Template;

typedef struct Qemu {
    pid_t pid;
    int monitor; /* connected */
    int *others; /* our ends of the pairs */
    size_t n_others;
} Qemu;

/* NULL and errno. */
Template *template_read(const char *path);
void template_free(Template *template);

/* Starts QEMU, or `wrapper` with QEMU's words behind its own, and waits until QEMU has answered "cont".
 * Negative errno; `ret_ms` is from before the spawn to after the answer. */
int qemu_start(const Template *template, char **wrapper, Qemu *ret, double *ret_ms);

/* Kills and reaps it. Negative errno; from before the kill to after the reaping. */
int qemu_kill(Qemu *qemu, double *ret_ms);
