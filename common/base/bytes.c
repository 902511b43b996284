/* Byte spans, buffers that grow in an arena, and secrets. Everything that reads outside bytes stands on these. */
#include "base/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

struct bytes
bytes_of_text(const char *text)
{
    return text == NULL ? BYTES_NONE : BYTES(text, strlen(text));
}

bool
bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool
bytes_equal_secret(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.at, b.at, a.len) == 0);
}

static uint64_t
fnv_1a(uint64_t hash, struct bytes octets)
{
    for (size_t i = 0; i < octets.len; i++)
        hash = (hash ^ octets.at[i]) * UINT64_C(1099511628211);
    return hash;
}

uint64_t
bytes_hash(struct bytes octets)
{
    return fnv_1a(UINT64_C(14695981039346656037), octets);
}

/* Mixed at the end (MurmurHash3's finalizer): all bits depend on all. */
uint64_t
bytes_hash_keyed(uint64_t secret, struct bytes octets)
{
    uint64_t hash = fnv_1a(secret, octets) ^ secret >> 32;

    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

struct bytes
bytes_copy(struct arena *arena, struct bytes from)
{
    uint8_t *copy = arena_alloc(arena, from.len);

    if (from.len > 0)
        memcpy(copy, from.at, from.len);
    return BYTES(copy, from.len);
}

char *
bytes_text(struct arena *arena, struct bytes from)
{
    return arena_text_n(arena, (const char *)from.at, from.len);
}

char *
bytes_hex(struct arena *arena, struct bytes from, char separator)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = arena_alloc(arena, from.len * (separator == 0 ? 2 : 3) + 1);
    char *to = hex;

    for (size_t i = 0; i < from.len; i++) {
        if (separator != 0 && i > 0)
            *to++ = separator;
        *to++ = digits[from.at[i] >> 4];
        *to++ = digits[from.at[i] & 15];
    }
    return hex;
}

int
bytes_hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool
bytes_from_hex(struct arena *arena, const char *hex, struct bytes *ret_bytes)
{
    if (hex == NULL)
        return false;
    uint8_t *octets = arena_alloc(arena, strlen(hex) / 2);
    size_t len = 0;

    for (const char *at = hex; *at != '\0';) {
        if (*at == ':' && len > 0)
            at++;
        int high = bytes_hex_digit(at[0]);
        int low = high < 0 ? -1 : bytes_hex_digit(at[1]);
        if (low < 0)
            return false;
        octets[len++] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret_bytes = BYTES(octets, len);
    return true;
}

struct buffer
buffer_in(struct arena *arena)
{
    return (struct buffer){.arena = arena};
}

/* Room for `more` bytes and a NUL. The old memory stays in the arena, so that a part of the buffer may be appended to it. */
static void
buffer_grow(struct buffer *buffer, size_t more)
{
    size_t needed;

    if (__builtin_add_overflow(buffer->len, more, &needed) || needed > SIZE_MAX / 4)
        abort();
    if (needed < buffer->room)
        return;
    size_t room = buffer->room == 0 ? 256 : buffer->room * 2;
    if (room <= needed)
        room = needed + 1;
    uint8_t *at = arena_alloc(buffer->arena, room);
    if (buffer->len > 0)
        memcpy(at, buffer->at, buffer->len);
    buffer->at = at;
    buffer->room = room;
}

void
buffer_append(struct buffer *buffer, const void *from, size_t len)
{
    buffer_grow(buffer, len);
    if (len > 0)
        memcpy(buffer->at + buffer->len, from, len);
    buffer->len += len;
}

void
buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void
buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list values, again;

    va_start(values, format);
    va_copy(again, values);
    /* Nearly always it fits: then this is all. */
    size_t room = buffer->room - buffer->len;
    int len = vsnprintf(room == 0 ? NULL : (char *)buffer->at + buffer->len, room, format, values);
    va_end(values);
    assert(len >= 0);
    if ((size_t)len >= room) {
        buffer_grow(buffer, (size_t)len);
        vsnprintf((char *)buffer->at + buffer->len, (size_t)len + 1, format, again);
    }
    va_end(again);
    buffer->len += (size_t)len;
}

struct bytes
buffer_bytes(const struct buffer *buffer)
{
    return BYTES(buffer->at, buffer->len);
}

const char *
buffer_text(struct buffer *buffer)
{
    buffer_grow(buffer, 0);
    buffer->at[buffer->len] = '\0';
    return (const char *)buffer->at;
}

/* Whole pages of their own: locking and unlocking works on pages, and a neighbour in the heap would be unlocked with us. */
static size_t
secret_mapped(size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (len > SIZE_MAX / 2)
        abort();
    return (len + 1 + page - 1) / page * page;
}

struct secret *
secret_new(size_t len)
{
    size_t mapped = secret_mapped(len);
    struct secret *secret = malloc(sizeof *secret);
    /* cppcheck-suppress invalidFunctionArg ; MAP_ANONYMOUS wants -1 */
    void *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (secret == NULL || at == MAP_FAILED)
        abort();
    /* Best effort: the limit on locked memory may be small, and a secret in swap is still better than a service that does not start. */
    (void)mlock(at, mapped);
    (void)madvise(at, mapped, MADV_DONTDUMP);
    *secret = (struct secret){.at = at, .len = len};
    return secret;
}

struct secret *
secret_copy(struct bytes from)
{
    struct secret *secret = secret_new(from.len);

    if (from.len > 0)
        memcpy(secret->at, from.at, from.len);
    return secret;
}

void
secret_free(struct secret *secret)
{
    if (secret == NULL)
        return;
    size_t mapped = secret_mapped(secret->len);

    wipe(secret->at, mapped);
    munmap(secret->at, mapped);
    free(secret);
}

void
wipe(void *at, size_t len)
{
    if (len > 0)
        OPENSSL_cleanse(at, len);
}
