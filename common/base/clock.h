/* Time and randomness: the two seams that tests replace at link time. Threads: any. */
#ifndef SIGNET_BASE_CLOCK_H
#define SIGNET_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

int64_t clock_now_s(void);        /* Unix time, seconds */
int64_t clock_now_us(void);       /* Unix time, microseconds */
int64_t clock_monotonic_ms(void); /* never goes back; for deadlines */
int64_t clock_monotonic_us(void);
void clock_sleep_ms(int ms);
/* pthread_cond_timedwait on the monotonic clock, whatever the condition was made with: who waits by the time of day waits for an hour when that is
 * set back by one. False when `until_ms` has come; true may also mean nothing, as with every condition. */
bool clock_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_ms);

/* A second of the Gregorian calendar, in UTC. */
struct clock_date {
    int year, month, day, hour, minute, second, weekday; /* 0: Sunday */
};
/* Times outside the years 0000 to 9999 become the nearest one within. */
struct clock_date clock_date_of(int64_t unix_s);
/* False when the calendar has no such second (a leap second is none); `weekday` is not looked at. */
bool clock_of_date(const struct clock_date *date, int64_t *ret_unix_s);

/* "2026-11-20T23:50:55Z" */
char *clock_format_rfc3339(struct arena *arena, int64_t unix_s);
/* 0 on success, -1 when the text is not an RFC 3339 time. */
int clock_parse_rfc3339(const char *text, int64_t *ret_unix_s);
/* "Fri, 20 Nov 2026 23:50:55 GMT" (RFC 9110 §5.6.7) */
char *clock_format_http(struct arena *arena, int64_t unix_s);

/* From the kernel: OpenSSL's generators are one for each thread, and cost a call ten times as much. Aborts if there is none. */
void random_bytes(void *to, size_t len);
/* The same behind four octets that are the second: what is named so in one moment lies together in an index. For rows that are made all the time: at
 * random places each would need another page of every index, in memory, in the log and on the disk. `len` is at least 12. */
void random_bytes_by_time(void *to, size_t len);

#endif
