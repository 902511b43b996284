/*
 * Serial numbers that carry their partition (ARCHITECTURE §5): one version octet (0x01), two octets of expiry month, 14 random octets.
 * 17 octets, positive, 112 random bits. The month counts from 2000-01 = 0 in UTC.
 */
#ifndef SIGNET_PKI_SERIAL_H
#define SIGNET_PKI_SERIAL_H

#include "base/bytes.h"

#define SERIAL_LEN 17
#define SERIAL_VERSION 0x01

struct serial {
    uint8_t octets[SERIAL_LEN];
};

struct serial serial_new(int64_t not_after_s);
int serial_month_of(int64_t unix_s);
/* True when `octets` have the form of a serial of ours; then its month. A foreign or mistyped serial is never "good". */
bool serial_parse(struct bytes octets, int *ret_month);

#endif
