/*
 * Which place of a memory belongs to an id. A few places make a set, which ids share; of those the one that came first makes room for a newcomer. So
 * what came a moment ago is still there, whoever has come since.
 */
#ifndef SIGNET_ACME_GW_PLACES_H
#define SIGNET_ACME_GW_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACES 2048
#define PLACE_ID_MAX 22

struct places {
    struct {
        char id[PLACE_ID_MAX + 1];
        uint64_t came; /* 0: nobody is here */
    } at[PLACES];
    uint64_t newcomers;
};

/* False: it has none. */
bool places_find(const struct places *places, const char *id, size_t *ret_place);
/* The one that it has, or that of whom it drives out. */
size_t places_take(struct places *places, const char *id);

#endif
