/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints how fast this processor's time stamp counter counts, in kHz. An emulated machine's is the same one, and where the host is busy its kernel
 * measures anything: its clock then runs many times too fast. */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

int main(void)
{
    const struct timespec while_counting = {.tv_nsec = 50 * 1000 * 1000};
    struct timespec began, ended;
    unsigned long long from, to;

    clock_gettime(CLOCK_MONOTONIC_RAW, &began);
    from = __rdtsc();
    nanosleep(&while_counting, NULL);
    clock_gettime(CLOCK_MONOTONIC_RAW, &ended);
    to = __rdtsc();
    printf("%.0f\n", (double) (to - from) / ((double) (ended.tv_sec - began.tv_sec) * 1e3 + (double) (ended.tv_nsec - began.tv_nsec) / 1e6));
    return 0;
}
