/*
 * The ACME load generator's parts: signed requests, the http-01 responder, one client's way through its orders.
 *
 * It shares its processors with the server that it measures, so that everything here is made once where that is possible, and nothing is looked at
 * twice. Failures are told with fail() in the request of the order at hand.
 */
#ifndef SIGNET_TESTS_BENCH_ACME_H
#define SIGNET_TESTS_BENCH_ACME_H

#include <stdatomic.h>

#include <openssl/bn.h>
#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/request.h"
#include "connection.h"

DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);

/* ---- acme_jws.c: an account's key (ES256), and signatures that are begun before the clock starts ---- */

struct account_key {
    BIGNUM *secret;
    BN_CTX *numbers; /* to compute with, for one thread */
    const char *jwk;
    const char *thumbprint;
};

struct account_key account_key_new(struct arena *arena);
void account_key_free(struct account_key *key);

struct signer;

/* For all clients: so many signatures are begun at once, those after them when they are needed. */
struct signer *signer_new(struct arena *arena, size_t signatures);
void signer_free(struct signer *signer);
/* The body of a POST; `kid` NULL: with the key itself. */
struct bytes jws_format(struct arena *arena, struct signer *signer, const struct account_key *key, const char *kid, const char *nonce,
                        const char *url, const char *payload);

/* ---- acme_responder.c: http-01, a place per client, each with its newest challenge ---- */

struct responder;

struct responder *responder_start(int port, size_t places);
void responder_publish(struct responder *responder, size_t place, const char *token, const char *key_authorization);
void responder_stop(struct responder *responder);

/* ---- acme_client.c ---- */

struct load {
    const char *directory_url;
    const struct server *server;
    struct signer *signer;
    struct responder *responder; /* NULL: orders are to be born ready */
    const char **names;          /* one for each order */
    const char **csrs;           /* base64url */
    int64_t *times_us;           /* of each order, 0: it failed */
    size_t orders;
    atomic_size_t next;
    atomic_size_t requests, polls, errors; /* signed requests of orders; those of them that only waited */
    int64_t took_us, used_us;              /* by the clock, and of this program's processor time */
    pthread_barrier_t begin;               /* accounts are made before the clock starts */
};

struct client {
    struct load *load;
    size_t place;
    pthread_t thread;
};

void *client_run(void *client);

#endif
