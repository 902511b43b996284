/* Serial numbers of certificates that we issue: drawn by ra with the intent, read by whoever looks a status up. */
#include "pki/serial.h"

#include <assert.h>

#include "base/clock.h"

#define RANDOM_AT 3
#define MONTH_MAX 0xffff

int
serial_month_of(int64_t unix_s)
{
    struct clock_date date = clock_date_of(unix_s);

    return (date.year - 2000) * 12 + date.month - 1;
}

struct serial
serial_new(int64_t not_after_s)
{
    int month = serial_month_of(not_after_s);

    assert(month >= 0 && month <= MONTH_MAX);
    struct serial serial = {{SERIAL_VERSION, (uint8_t)(month >> 8), (uint8_t)month}};
    random_bytes(serial.octets + RANDOM_AT, SERIAL_LEN - RANDOM_AT);
    return serial;
}

bool
serial_parse(struct bytes octets, int *ret_month)
{
    if (octets.len != SERIAL_LEN || octets.at[0] != SERIAL_VERSION)
        return false;
    *ret_month = octets.at[1] << 8 | octets.at[2];
    return true;
}
