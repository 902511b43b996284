/*
 * Blocks in two chains. The newest common block is filled from the front; what is large beside the block size gets an outsized block of its own.
 * Under AddressSanitizer everything not handed out is poisoned, with a red zone after each piece, so that a stray pointer into a reset
 * arena or past the end of a piece is found as it would be with malloc.
 */
#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE ALIGNMENT
#else
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define RED_ZONE ((size_t)0)
#endif

#define ALIGNMENT _Alignof(max_align_t)
#define FIRST_BLOCK_SIZE ((size_t)4096 - 64) /* a little less than a page, for malloc's own header */
#define LARGEST_BLOCK_SIZE ((size_t)64 * 1024 - 64)

struct block {
    struct block *older;
    size_t used, size;
    _Alignas(max_align_t) uint8_t data[];
};

struct deferred {
    struct deferred *older;
    void (*free_function)(void *);
    void *object;
};

struct arena {
    struct block *newest;
    struct block *outsized;
    struct deferred *deferred;
    size_t next_size;
    bool secret;
};

struct arena *
arena_new(void)
{
    struct arena *arena = calloc(1, sizeof *arena);

    if (arena == NULL)
        abort();
    arena->next_size = FIRST_BLOCK_SIZE;
    return arena;
}

static struct block *
block_new(size_t size, struct block *older)
{
    struct block *block = malloc(sizeof *block + size);

    if (block == NULL)
        abort();
    block->older = older;
    block->used = 0;
    block->size = size;
    ASAN_POISON_MEMORY_REGION(block->data, size);
    return block;
}

/* Poisoned, too, are the red zones between pieces. */
static void
forget_block(const struct arena *arena, struct block *block)
{
    ASAN_UNPOISON_MEMORY_REGION(block->data, block->size);
    if (arena->secret)
        wipe(block->data, block->used);
}

static void
free_blocks(const struct arena *arena, struct block *newest)
{
    while (newest != NULL) {
        struct block *block = newest;
        newest = block->older;
        forget_block(arena, block);
        free(block);
    }
}

void
arena_keep_secret(struct arena *arena)
{
    arena->secret = true;
}

bool
arena_is_secret(const struct arena *arena)
{
    return arena->secret;
}

static void
run_deferred(struct arena *arena)
{
    while (arena->deferred != NULL) {
        struct deferred *newest = arena->deferred;
        arena->deferred = newest->older;
        newest->free_function(newest->object);
    }
}

void
arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    run_deferred(arena);
    free_blocks(arena, arena->outsized);
    free_blocks(arena, arena->newest);
    free(arena);
}

void
arena_reset(struct arena *arena)
{
    run_deferred(arena);
    free_blocks(arena, arena->outsized);
    arena->outsized = NULL;
    if (arena->newest == NULL)
        return;
    /* The newest is the largest: who needs as much again the next time finds it all in one block. */
    free_blocks(arena, arena->newest->older);
    arena->newest->older = NULL;
    forget_block(arena, arena->newest);
    arena->newest->used = 0;
    arena->secret = false;
    ASAN_POISON_MEMORY_REGION(arena->newest->data, arena->newest->size);
}

/* A block in which `needed` bytes are free. */
static struct block *
find_room(struct arena *arena, size_t needed)
{
    if (arena->newest != NULL && arena->newest->size - arena->newest->used >= needed)
        return arena->newest;
    if (needed > arena->next_size / 4)
        return arena->outsized = block_new(needed, arena->outsized);
    arena->newest = block_new(arena->next_size, arena->newest);
    if (arena->next_size < LARGEST_BLOCK_SIZE)
        arena->next_size = arena->next_size * 2 < LARGEST_BLOCK_SIZE ? arena->next_size * 2 : LARGEST_BLOCK_SIZE;
    return arena->newest;
}

void *
arena_alloc(struct arena *arena, size_t size)
{
    if (size > PTRDIFF_MAX - 2 * ALIGNMENT - sizeof(struct block))
        abort();
    size_t needed = ((size == 0 ? 1 : size) + RED_ZONE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *block = find_room(arena, needed);
    void *piece = block->data + block->used;

    block->used += needed;
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    memset(piece, 0, size);
    return piece;
}

void *
arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(count, size, &total))
        abort();
    return arena_alloc(arena, total);
}

char *
arena_text(struct arena *arena, const char *text)
{
    return arena_text_n(arena, text, strlen(text));
}

char *
arena_text_n(struct arena *arena, const char *text, size_t len)
{
    if (len == SIZE_MAX)
        abort();
    char *copy = arena_alloc(arena, len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *
arena_format(struct arena *arena, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    char *text = arena_vformat(arena, format, values);
    va_end(values);
    return text;
}

char *
arena_vformat(struct arena *arena, const char *format, va_list values)
{
    char usual[256];
    va_list again;

    va_copy(again, values);
    int len = vsnprintf(usual, sizeof usual, format, values);
    assert(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    if ((size_t)len < sizeof usual)
        memcpy(text, usual, (size_t)len);
    else
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void
arena_defer(struct arena *arena, void (*free_function)(void *), void *object)
{
    struct deferred *deferred = arena_alloc(arena, sizeof *deferred);

    *deferred = (struct deferred){.older = arena->deferred, .free_function = free_function, .object = object};
    arena->deferred = deferred;
}
