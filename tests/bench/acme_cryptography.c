/*
 * What an ACME order costs that nobody can do without: microseconds of processor time of verifying one JWS (ES256), the signature of one CSR (P-256),
 * and of signing one certificate (P-256). Each by a loop around OpenSSL on all processors at once, as under load. Prints one JSON object.
 *
 *     acme_cryptography [ROUNDS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "kit/pki_kit.h"

#define THREADS_MAX 64
#define JWS_LEN 420 /* octets that are signed: header and payload of most requests of an order */
#define TBS_LEN 650 /* of a certificate with one name */

struct work {
    EVP_PKEY *key;
    uint8_t message[TBS_LEN];
    uint8_t signature[80];
    size_t signature_len;
    struct bytes csr;
    int64_t rounds;
};

static void
must(bool it_is)
{
    if (!it_is)
        abort();
}

static size_t
sign(EVP_PKEY *key, const uint8_t *message, size_t len, uint8_t *signature)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t signature_len = 80;

    must(md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1);
    must(EVP_DigestSign(md, signature, &signature_len, message, len) == 1);
    EVP_MD_CTX_free(md);
    return signature_len;
}

static void *
verify_jws(void *context)
{
    const struct work *work = context;

    for (int64_t i = 0; i < work->rounds; i++) {
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        must(md != NULL && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, work->key) == 1);
        must(EVP_DigestVerify(md, work->signature, work->signature_len, work->message, JWS_LEN) == 1);
        EVP_MD_CTX_free(md);
    }
    return NULL;
}

/* Of a parsed request with a ready key: decoding is not cryptography. */
static void *
verify_csr(void *context)
{
    const struct work *work = context;
    const uint8_t *at = work->csr.at;
    X509_REQ *csr = d2i_X509_REQ(NULL, &at, (long)work->csr.len);

    for (int64_t i = 0; i < work->rounds; i++)
        must(csr != NULL && X509_REQ_verify(csr, work->key) == 1);
    X509_REQ_free(csr);
    return NULL;
}

static void *
sign_certificate(void *context)
{
    const struct work *work = context;
    uint8_t signature[80];

    for (int64_t i = 0; i < work->rounds; i++)
        must(sign(work->key, work->message, TBS_LEN, signature) > 0);
    return NULL;
}

static double
processor_us(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double
measure(struct work *work, void *(*loop)(void *), size_t threads)
{
    pthread_t all[THREADS_MAX];
    double before_us = processor_us();

    for (size_t i = 0; i < threads; i++)
        must(pthread_create(&all[i], NULL, loop, work) == 0);
    for (size_t i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
    return (processor_us() - before_us) / (double)work->rounds / (double)threads;
}

int
main(int argc, char **argv)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct work work = {.key = kit_key("p256"), .rounds = 5000};

    if (argc > 1 && !text_parse_number(argv[1], 1, 100000000, &work.rounds)) {
        fprintf(stderr, "usage: acme_cryptography [ROUNDS]\n");
        return 2;
    }
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t threads = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (size_t)processors;
    work.signature_len = sign(work.key, work.message, JWS_LEN, work.signature);
    work.csr = kit_csr(arena, &(struct kit_csr){.key = work.key, .names = "DNS:host.bench.example"});
    double jws_us = measure(&work, verify_jws, threads), csr_us = measure(&work, verify_csr, threads);
    double sign_us = measure(&work, sign_certificate, threads);
    printf("{\"jws_verify_us\": %.1f, \"csr_verify_us\": %.1f, \"certificate_sign_us\": %.1f}\n", jws_us, csr_us, sign_us);
    EVP_PKEY_free(work.key);
    return 0;
}
