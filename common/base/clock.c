/* Time and randomness. Dates are computed here and not by libc: no time zone, no locale, no shared state, and every input has an answer. */
#include "base/clock.h"

#include <assert.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define DAY_S 86400
#define YEAR_0_S INT64_C(-62167219200)         /* 0000-01-01T00:00:00Z */
#define YEAR_9999_LAST_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int64_t
read_clock_ns(clockid_t which)
{
    struct timespec now;

    if (clock_gettime(which, &now) != 0)
        abort();
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
clock_now_s(void)
{
    return read_clock_ns(CLOCK_REALTIME) / 1000000000;
}

int64_t
clock_now_us(void)
{
    return read_clock_ns(CLOCK_REALTIME) / 1000;
}

int64_t
clock_monotonic_ms(void)
{
    return read_clock_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t
clock_monotonic_us(void)
{
    return read_clock_ns(CLOCK_MONOTONIC) / 1000;
}

void
clock_sleep_ms(int ms)
{
    if (ms <= 0)
        return;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) != 0)
        continue;
}

bool
clock_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (long)(until_ms % 1000) * 1000000};

    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT;
}

static int
days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last. */
static int64_t
days_from_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

/* The reverse, with the time of day. Times outside the years 0000 to 9999 become the nearest one that four digits can say. */
struct clock_date
clock_date_of(int64_t unix_s)
{
    if (unix_s < YEAR_0_S)
        unix_s = YEAR_0_S;
    if (unix_s > YEAR_9999_LAST_S)
        unix_s = YEAR_9999_LAST_S;
    int64_t shifted = unix_s - YEAR_0_S; /* not negative, so that / and % go the same way */
    int64_t day_s = shifted % DAY_S;
    int64_t days = shifted / DAY_S + YEAR_0_S / DAY_S + 719468 + 146097;
    int64_t era = days / 146097;
    int64_t day_of_era = days % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted_month = (5 * day_of_year + 2) / 153;
    int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);

    return (struct clock_date){
        .year = (int)(year_of_era + (era - 1) * 400 + (month <= 2)),
        .month = month,
        .day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
        .hour = (int)(day_s / 3600),
        .minute = (int)(day_s / 60 % 60),
        .second = (int)(day_s % 60),
        .weekday = (int)((shifted / DAY_S + 6) % 7), /* 0000-01-01 was a Saturday */
    };
}

bool
clock_of_date(const struct clock_date *date, int64_t *ret_unix_s)
{
    if (date->year < 0 || date->year > 9999 || date->month < 1 || date->month > 12 || date->day < 1 ||
        date->day > days_in_month(date->year, date->month))
        return false;
    if (date->hour < 0 || date->hour > 23 || date->minute < 0 || date->minute > 59 || date->second < 0 || date->second > 59)
        return false;
    *ret_unix_s = days_from_date(date->year, date->month, date->day) * DAY_S + date->hour * 3600 + date->minute * 60 + date->second;
    return true;
}

char *
clock_format_rfc3339(struct arena *arena, int64_t unix_s)
{
    struct clock_date date = clock_date_of(unix_s);

    return arena_format(arena, "%04d-%02d-%02dT%02d:%02d:%02dZ", date.year, date.month, date.day, date.hour, date.minute, date.second);
}

char *
clock_format_http(struct arena *arena, int64_t unix_s)
{
    static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct clock_date date = clock_date_of(unix_s);

    return arena_format(arena, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[date.weekday], date.day, months[date.month - 1], date.year, date.hour,
                        date.minute, date.second);
}

/* Reads exactly `digits` digits and moves on; false when there are fewer. */
static bool
read_digits(const char **at, int digits, int *ret_value)
{
    int value = 0;

    for (int i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        value = value * 10 + (**at - '0');
    }
    *ret_value = value;
    return true;
}

static bool
read_mark(const char **at, const char *accepted)
{
    if (**at == '\0' || strchr(accepted, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* "Z" or "+02:00": what to subtract to get UTC. It must end the text. */
static bool
read_offset(const char *at, int *ret_offset_s)
{
    int hours = 0, minutes = 0;
    bool west = *at == '-';

    if (read_mark(&at, "Zz")) {
        *ret_offset_s = 0;
        return *at == '\0';
    }
    if (!read_mark(&at, "+-") || !read_digits(&at, 2, &hours) || !read_mark(&at, ":") || !read_digits(&at, 2, &minutes))
        return false;
    if (hours > 23 || minutes > 59 || *at != '\0')
        return false;
    *ret_offset_s = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

int
clock_parse_rfc3339(const char *text, int64_t *ret_unix_s)
{
    struct clock_date date;
    int64_t unix_s;
    int offset_s;
    const char *at = text;

    if (text == NULL)
        return -1;
    if (!read_digits(&at, 4, &date.year) || !read_mark(&at, "-") || !read_digits(&at, 2, &date.month) || !read_mark(&at, "-") ||
        !read_digits(&at, 2, &date.day) || !read_mark(&at, "Tt"))
        return -1;
    if (!read_digits(&at, 2, &date.hour) || !read_mark(&at, ":") || !read_digits(&at, 2, &date.minute) || !read_mark(&at, ":") ||
        !read_digits(&at, 2, &date.second))
        return -1;
    bool leap_second = date.second == 60;
    date.second -= leap_second;
    if (!clock_of_date(&date, &unix_s))
        return -1;
    if (read_mark(&at, ".")) {
        if (!isdigit((unsigned char)*at))
            return -1;
        while (isdigit((unsigned char)*at))
            at++;
    }
    if (!read_offset(at, &offset_s))
        return -1;
    unix_s += leap_second - offset_s;
    /* RFC 3339 §5.7: a leap second stands only at the end of a UTC day. */
    if (leap_second && unix_s % DAY_S != 0)
        return -1;
    *ret_unix_s = unix_s;
    return 0;
}

void
random_bytes(void *to, size_t len)
{
    uint8_t *at = to;

    while (len > 0) {
        ssize_t drawn = getrandom(at, len, 0);
        if (drawn < 0 && errno == EINTR)
            continue;
        if (drawn <= 0)
            abort();
        at += drawn;
        len -= (size_t)drawn;
    }
}

void
random_bytes_by_time(void *to, size_t len)
{
    uint32_t second = htobe32((uint32_t)clock_now_s());

    assert(len >= 12);
    memcpy(to, &second, sizeof second);
    random_bytes((uint8_t *)to + sizeof second, len - sizeof second);
}
