/*
 * Secrets that are drawn here, shown once, and handed to devices and people: passphrases and passwords. What is kept is a salt and a hash.
 *
 *     const char *password = drawn_secret_new(arena);
 *     struct bytes kept = drawn_secret_hash(arena, bytes_of_text(password));
 *     …
 *     if (!drawn_secret_is(kept, given))
 *
 * The hash is one HMAC, and fast. Slow ones (scrypt, PBKDF2) make up for what people choose; nobody tries 2^140 values. NIST SP 800-63B §5.1.2.2 asks
 * them of secrets with less than 112 bits. A slow hash would only serve strangers, who could have us compute one for each wrong guess.
 */
#ifndef SIGNET_BASE_DRAWN_SECRET_H
#define SIGNET_BASE_DRAWN_SECRET_H

#include "base/bytes.h"

#define DRAWN_SECRET_LEN 31
#define DRAWN_SECRET_HASH_LEN 48
#define DRAWN_SECRET_SALT_LEN 16
#define DRAWN_SECRET_MAC_LEN 32

/* 140 bits in letters and digits that nobody mistakes, in groups that people can read to each other: "ABCDEFG-HJKLMNP-…". */
char *drawn_secret_new(struct arena *arena);
struct bytes drawn_secret_hash(struct arena *arena, struct bytes secret);
/* Where one of many is looked up: the HMAC alone, under a salt that they share. */
struct bytes drawn_secret_mac(struct arena *arena, struct bytes salt, struct bytes secret);
/* False when `hash` is none of ours, or BYTES_NONE: there is no such secret. It takes as long. */
bool drawn_secret_is(struct bytes hash, struct bytes given);

#endif
