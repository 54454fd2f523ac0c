/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX 1024

static const struct {
    const char *name;
    Verb run;
    size_t min_words;
} verbs[] = {
        {"call", verb_call, 4},
        {"get", verb_get, 5},
        {"list", verb_list, 1},
        {"transient", verb_transient, 2},
        {"run", verb_run, 1},
        {"qemu", verb_qemu, 1},
        {"crowd-call", verb_crowd_call, 5},
        {"crowd-qemu", verb_crowd_qemu, 3},
        {"libvirt-start", verb_libvirt_start, 1},
        {"libvirt-destroy", verb_libvirt_destroy, 1},
        {"libvirt-list", verb_libvirt_list, 0},
        {"libvirt-crowd-start", verb_libvirt_crowd_start, 2},
};

double now_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

int answer(const double *numbers, size_t n)
{
    (void) fputs("ok", stdout);
    for (size_t i = 0; i < n; i++)
        (void) printf(" %.4f", numbers[i]);
    (void) putchar('\n');
    return fflush(stdout);
}

int fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void) fputs("error ", stdout);
    (void) vprintf(format, ap);
    (void) putchar('\n');
    va_end(ap);
    return fflush(stdout);
}

sd_bus *system_bus(void)
{
    static sd_bus *bus;
    if (!bus && sd_bus_open_system(&bus) < 0)
        return NULL;
    (void) sd_bus_set_method_call_timeout(bus, REPLY_TIMEOUT_USEC);
    return bus;
}

static int request(char *line)
{
    char *words[WORDS_MAX + 1] = {NULL};
    size_t n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *word; n < WORDS_MAX && (word = strsep(&line, "\t"));)
        words[n++] = word;

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(words[0], verbs[i].name) == 0)
            return n - 1 < verbs[i].min_words ? fail("%s: too few words", words[0]) : verbs[i].run(words + 1);
    return fail("there is no verb %s", words[0]);
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    (void) signal(SIGPIPE, SIG_IGN); /* libvirt says goodbye to a daemon that has gone */
    while (getline(&line, &size, stdin) > 0)
        if (request(line) != 0)
            return EXIT_FAILURE;
    free(line);
    return EXIT_SUCCESS;
}
