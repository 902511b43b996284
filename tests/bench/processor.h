/* The processor time of the program that calls, in microseconds: what a load generator takes from the server that it measures. */
#ifndef SIGNET_TESTS_BENCH_PROCESSOR_H
#define SIGNET_TESTS_BENCH_PROCESSOR_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline int64_t
processor_used_us(void)
{
    struct timespec used;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
        abort();
    return used.tv_sec * INT64_C(1000000) + used.tv_nsec / 1000;
}

#endif
