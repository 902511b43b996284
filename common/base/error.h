/*
 * The kinds of wrong that Signet distinguishes.
 *
 * A function that can be refused returns `enum error` and describes the refusal once, where it is found:
 *
 *     if (bits < 2048)
 *         return fail(rq, ERR_BAD_CSR, "the public key has %d bits, at least 2048 are needed", bits);
 *
 * Our own bugs are `assert`ed instead; out of memory aborts. Each gateway turns a kind into its protocol's
 * words in exactly one place (problem.c, fail_info.c); on the bus the kind travels by its name.
 */
#ifndef SIGNET_BASE_ERROR_H
#define SIGNET_BASE_ERROR_H

enum error {
    OK = 0,
    ERR_BAD_REQUEST,     /* cannot be parsed, or breaks the protocol */
    ERR_BAD_CSR,         /* the certification request: syntax, signature, key or content */
    ERR_BAD_NAME,        /* an identifier that we will not certify or cannot parse */
    ERR_UNAUTHENTICATED, /* a signature, credential or nonce does not verify */
    ERR_DENIED,          /* understood and refused by policy; the layer says which */
    ERR_NOT_FOUND,       /* the thing named does not exist */
    ERR_CONFLICT,        /* the state of the thing does not allow it (already revoked, order not ready) */
    ERR_TOO_LARGE,       /* beyond a named limit */
    ERR_RATE_LIMITED,    /* this caller asks too often; retry_after_s is set */
    ERR_BUSY,            /* a bounded queue is full; retry_after_s is set */
    ERR_UNAVAILABLE,     /* database, bus or HSM cannot be reached; nothing was done; retry_after_s is set */
    ERR_TIMEOUT,         /* the deadline passed; what was asked may still happen: repeat with the same key */
    ERR_INTERNAL,        /* anything else; the detail is in the log only */
    ERR_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* "bad-csr", "unavailable", …: the name used on the bus, in logs and in metrics. Never NULL. */
const char *error_name(enum error kind);

/* The kind with this name; ERR_INTERNAL for a name that this build does not know. */
enum error error_from_name(const char *name);

/* True for the kinds after which the same request may be sent again (BUSY, UNAVAILABLE, TIMEOUT, RATE_LIMITED). */
int error_is_retriable(enum error kind);

#endif
