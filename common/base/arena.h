/*
 * Memory that lives as long as one request (or one batch) and is freed at once.
 *
 *     AUTO_STRUCT(arena, arena) = arena_new();
 *     char *url = arena_format(arena, "%s/acme/order/%s", base, id);
 *
 * Owner: whoever called arena_new. Errors: none, out of memory aborts. Threads: one at a time.
 * Memory is zeroed and aligned for any type. Growth is bounded by the caller: check lengths from outside first.
 */
#ifndef SIGNET_BASE_ARENA_H
#define SIGNET_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/auto.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);
DEFINE_AUTO_STRUCT(arena, arena_free);

/* Forgets everything but keeps its largest block, at most 64 KiB, for loops. */
void arena_reset(struct arena *arena);

/* Keys pass through it: everything in it, before and after this, is wiped before its memory is given back. */
void arena_keep_secret(struct arena *arena);
bool arena_is_secret(const struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size);
/* Aborts when count * size overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size);
char *arena_text(struct arena *arena, const char *text);
char *arena_text_n(struct arena *arena, const char *text, size_t len);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vformat(struct arena *arena, const char *format, va_list values) __attribute__((format(printf, 2, 0)));

/* Calls `free_function(object)` when the arena is freed or reset, newest first: for PGresult, EVP_PKEY and the like. */
void arena_defer(struct arena *arena, void (*free_function)(void *), void *object);

#endif
