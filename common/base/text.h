/* Small questions about texts. Everything here is total: no input is undefined. */
#ifndef SIGNET_BASE_TEXT_H
#define SIGNET_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

bool text_equal(const char *a, const char *b);        /* NULL equals only NULL */
bool text_equal_nocase(const char *a, const char *b); /* ASCII */
bool text_is_empty(const char *text);                 /* NULL or "" */
bool text_starts_with(const char *text, const char *prefix);
bool text_ends_with(const char *text, const char *suffix);
char *text_lower(struct arena *arena, const char *text); /* ASCII */
bool text_is_utf8(struct bytes text);                    /* valid UTF-8 without NUL */
/* Octets of the well-formed UTF-8 character at the front; 0 when there is none. NUL counts as a character of one octet. */
size_t text_utf8_length(struct bytes text);
/* As much of a UTF-8 text as `most` octets hold, in whole characters. */
char *text_cut(struct arena *arena, const char *text, size_t most);
bool text_is_printable_ascii(struct bytes text);
/* '*' matches any run of characters within the text; everything else is literal, case-insensitive (ASCII). */
bool text_matches(const char *pattern, const char *text);
/* As bytes_hash. */
uint64_t text_hash(const char *text);
/* Decimal only, whole text, within bounds. */
bool text_parse_number(const char *text, int64_t least, int64_t most, int64_t *ret_number);
/* Splits on one character, trims blanks, drops empty parts; returns a NULL-terminated array in the arena. */
char **text_split(struct arena *arena, const char *text, char separator, size_t *ret_count);

#endif
