/* Waiting for what happens on other threads and in other processes. */
#ifndef SIGNET_TESTS_UNIT_LINK_WAIT_FOR_H
#define SIGNET_TESTS_UNIT_LINK_WAIT_FOR_H

#include "unit/kit.h"

#include "base/clock.h"

#define HAPPENS_WITHIN_MS 20000

/* Returns when the condition holds; a test that waits in vain fails. */
#define WAIT_FOR(condition)                                                        \
    do {                                                                           \
        int64_t until_ms_ = clock_monotonic_ms() + HAPPENS_WITHIN_MS;              \
        while (!(condition)) {                                                     \
            if (clock_monotonic_ms() > until_ms_)                                  \
                fail_msg("%s: never within %d ms", #condition, HAPPENS_WITHIN_MS); \
            clock_sleep_ms(2);                                                     \
        }                                                                          \
    } while (0)

#endif
