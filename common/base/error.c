/* The names of the error kinds: one table, used by the bus, the log and the metrics, so that a kind is called the same everywhere. */
#include "base/error.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const names[ERR_COUNT] = {
    [OK] = "ok",
    [ERR_BAD_REQUEST] = "bad-request",
    [ERR_BAD_CSR] = "bad-csr",
    [ERR_BAD_NAME] = "bad-name",
    [ERR_UNAUTHENTICATED] = "unauthenticated",
    [ERR_DENIED] = "denied",
    [ERR_NOT_FOUND] = "not-found",
    [ERR_CONFLICT] = "conflict",
    [ERR_TOO_LARGE] = "too-large",
    [ERR_RATE_LIMITED] = "rate-limited",
    [ERR_BUSY] = "busy",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_TIMEOUT] = "timeout",
    [ERR_INTERNAL] = "internal",
};

const char *
error_name(enum error kind)
{
    assert(kind < ERR_COUNT);
    return names[kind];
}

enum error
error_from_name(const char *name)
{
    if (name == NULL)
        return ERR_INTERNAL;
    for (unsigned kind = OK; kind < ERR_COUNT; kind++)
        if (strcmp(name, names[kind]) == 0)
            return (enum error)kind;
    return ERR_INTERNAL;
}

int
error_is_retriable(enum error kind)
{
    return kind == ERR_BUSY || kind == ERR_UNAVAILABLE || kind == ERR_TIMEOUT || kind == ERR_RATE_LIMITED;
}
