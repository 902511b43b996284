/* Time and randomness: the two seams that tests replace at link time. Threads: any. */
#ifndef SIGNET_BASE_CLOCK_H
#define SIGNET_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

int64_t clock_now_s(void);        /* Unix time, seconds */
int64_t clock_now_us(void);       /* Unix time, microseconds */
int64_t clock_monotonic_ms(void); /* never goes back; for deadlines */
int64_t clock_monotonic_us(void);
void clock_sleep_ms(int ms);

/* "2026-11-20T23:50:55Z" */
char *clock_format_rfc3339(struct arena *arena, int64_t unix_s);
/* 0 on success, -1 when the text is not an RFC 3339 time. */
int clock_parse_rfc3339(const char *text, int64_t *ret_unix_s);
/* "Fri, 20 Nov 2026 23:50:55 GMT" (RFC 9110 §5.6.7) */
char *clock_format_http(struct arena *arena, int64_t unix_s);

/* From the kernel or OpenSSL's DRBG; aborts if there is none. */
void random_bytes(void *to, size_t len);

#endif
