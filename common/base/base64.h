/* Base64 (RFC 4648 §4) and base64url without padding (§5). Lengths are bounded by the caller. */
#ifndef SIGNET_BASE_BASE64_H
#define SIGNET_BASE_BASE64_H

#include <stdbool.h>

#include "base/bytes.h"

/* Standard alphabet with padding, one line. */
char *base64_encode(struct arena *arena, struct bytes from);
/* Standard alphabet; white space is skipped, padding may be missing. */
bool base64_decode(struct arena *arena, struct bytes text, struct bytes *ret_bytes);

char *base64url_encode(struct arena *arena, struct bytes from);
/* Strict: no padding, no other alphabet, no white space, unused bits zero (RFC 7515 §2). */
bool base64url_decode(struct arena *arena, struct bytes text, struct bytes *ret_bytes);
/* Lenient, for CSRs only: padding and the standard alphabet are accepted, as some clients send them. */
bool base64url_decode_lenient(struct arena *arena, struct bytes text, struct bytes *ret_bytes);

#endif
