/*
 * Byte spans, growing buffers and secrets.
 *
 * `struct bytes` borrows: it never owns what it points at. `struct buffer` grows in an arena. `struct secret` owns
 * heap memory that is locked where the system allows it, wiped when freed, and has no formatting function.
 */
#ifndef SIGNET_BASE_BYTES_H
#define SIGNET_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"

struct bytes {
    const uint8_t *at;
    size_t len;
};

#define BYTES(pointer, length) ((struct bytes){(const uint8_t *)(pointer), (length)})
#define BYTES_NONE ((struct bytes){NULL, 0})

/* The characters of a NUL-terminated text, without the NUL. */
struct bytes bytes_of_text(const char *text);

bool bytes_equal(struct bytes a, struct bytes b);

/* Equal in time that depends on the lengths only: for MACs, tokens, password hashes. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

/* For tables in memory: not for secrets, nor against those who choose their octets (FNV-1a). */
uint64_t bytes_hash(struct bytes octets);
/* The same for tables that strangers fill, who cannot aim at one place as long as they do not know the secret. */
uint64_t bytes_hash_keyed(uint64_t secret, struct bytes octets);

/* A copy in the arena; as text, with a NUL added. */
struct bytes bytes_copy(struct arena *arena, struct bytes from);
char *bytes_text(struct arena *arena, struct bytes from);

/* Lower-case hexadecimal; `separator` between octets, 0 for none. */
char *bytes_hex(struct arena *arena, struct bytes from, char separator);

/* The value of a hexadecimal digit of either case, or -1. */
int bytes_hex_digit(char digit);

/* Accepts upper and lower case and ':' between octets. False when it is not hexadecimal. */
bool bytes_from_hex(struct arena *arena, const char *hex, struct bytes *ret_bytes);

struct buffer {
    struct arena *arena;
    uint8_t *at;
    size_t len;
    size_t room;
};

struct buffer buffer_in(struct arena *arena);
void buffer_append(struct buffer *buffer, const void *from, size_t len);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct bytes buffer_bytes(const struct buffer *buffer);
/* NUL-terminated view of what was appended; valid until the next append. */
const char *buffer_text(struct buffer *buffer);

/* A NUL follows the last byte, so that a password may be read as a text in place. Change neither member: secret_free needs them. */
struct secret {
    uint8_t *at;
    size_t len;
};

struct secret *secret_new(size_t len);
struct secret *secret_copy(struct bytes from);
/* Wipes, then frees. NULL is allowed. */
void secret_free(struct secret *secret);
DEFINE_AUTO_STRUCT(secret, secret_free);

/* Wipes memory in a way that the compiler may not drop. */
void wipe(void *at, size_t len);

#endif
