/* What the load generator of SCEP and EST sends: made before its clock starts. device.c sends it. */
#ifndef SIGNET_TESTS_BENCH_DEVICE_H
#define SIGNET_TESTS_BENCH_DEVICE_H

#include "base/bytes.h"

/* `count` PKCSReq messages (RFC 8894 §3.3.1) for the recipient of a PEM file: RSA-2048 keys that take turns, each message with its own name, CSR and
 * transaction. */
struct bytes *device_scep_messages(struct arena *arena, const char *recipient_file, const char *challenge, size_t count);
/* `count` bodies of simpleenroll (RFC 7030 §4.2.1): CSRs in base64. */
struct bytes *device_est_bodies(struct arena *arena, size_t count);
/* Is this a CertRep with pkiStatus SUCCESS? Its attribute is looked for and nothing else is looked at. */
bool device_is_success(struct bytes message);

#endif
