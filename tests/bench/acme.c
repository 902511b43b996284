/*
 * Whole ACME orders a second, from newOrder to the certificate, by clients that each keep one HTTPS connection and one account.
 *
 *     acme DIRECTORY CA_BUNDLE DOMAIN CLIENTS ORDERS pre-approved
 *     acme DIRECTORY CA_BUNDLE DOMAIN CLIENTS ORDERS http-01 PORT
 *
 * Each order is for a name of its own below DOMAIN. `http-01`: a responder in this process listens on PORT of 127.0.0.1, where the server's validator
 * must look. `pre-approved`: orders are to be born ready. Names, keys, CSRs, accounts and most of each signature are made before the clock starts.
 * Prints one JSON object; ends with 1 when an order failed.
 */
#include "acme.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "kit/pki_kit.h"
#include "processor.h"

#define CLIENTS_MAX 1000
#define ORDERS_MAX 10000000
#define SIGNATURES_PER_ORDER 6 /* with http-01, and its one poll */

static void
die(const char *why)
{
    fprintf(stderr, "acme: %s\n", why);
    exit(1);
}

/* Names that no earlier run had: an authorisation of then shall not do for now. */
static void
make_csrs(struct load *load, struct arena *arena, const char *domain)
{
    int64_t run = clock_now_us();

    load->names = arena_array(arena, load->orders, sizeof *load->names);
    load->csrs = arena_array(arena, load->orders, sizeof *load->csrs);
    load->times_us = arena_array(arena, load->orders, sizeof *load->times_us);
    for (size_t i = 0; i < load->orders; i++) {
        AUTO_STRUCT(arena, own) = arena_new();
        AUTO(EVP_PKEY, key) = kit_key("p256");
        load->names[i] = arena_format(arena, "n%zu-%llx.bench.%s", i, (unsigned long long)run, domain);
        struct kit_csr wish = {.key = key, .names = arena_format(own, "DNS:%s", load->names[i])};
        load->csrs[i] = base64url_encode(arena, kit_csr(own, &wish));
    }
}

/* What clients did before the clock started is not counted. */
static void
run(struct load *load, struct client *clients, size_t count)
{
    if (pthread_barrier_init(&load->begin, NULL, (unsigned)count + 1) != 0)
        abort();
    for (size_t i = 0; i < count; i++) {
        clients[i] = (struct client){.load = load, .place = i};
        if (pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) != 0)
            die("a thread cannot be started");
    }
    pthread_barrier_wait(&load->begin);
    int64_t begin_us = clock_monotonic_us(), used_before_us = processor_used_us();
    for (size_t i = 0; i < count; i++)
        pthread_join(clients[i].thread, NULL);
    load->took_us = clock_monotonic_us() - begin_us;
    load->used_us = processor_used_us() - used_before_us;
    pthread_barrier_destroy(&load->begin);
}

static int
compare(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

    return (difference > 0) - (difference < 0);
}

/* How many failed. */
static size_t
print(struct load *load, size_t clients)
{
    size_t failed = 0;

    qsort(load->times_us, load->orders, sizeof *load->times_us, compare);
    while (failed < load->orders && load->times_us[failed] == 0)
        failed++;
    size_t done = load->orders - failed;
    if (done == 0)
        die("no order came to its end");
    const int64_t *times_us = load->times_us + failed;
    int64_t p50_us = times_us[done / 2], p99_us = times_us[done * 99 / 100], max_us = times_us[done - 1];
    printf("{\"clients\": %zu, \"orders\": %zu, \"orders_per_s\": %.1f, \"own_us\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, "
           "\"requests_per_order\": %.3f, \"polls_per_order\": %.3f, \"errors\": %zu}\n",
           clients, done, (double)done * 1e6 / (double)load->took_us, (double)load->used_us / (double)done, (double)p50_us / 1000.0,
           (double)p99_us / 1000.0, (double)max_us / 1000.0, (double)atomic_load(&load->requests) / (double)done,
           (double)atomic_load(&load->polls) / (double)done, atomic_load(&load->errors));
    return failed + atomic_load(&load->errors);
}

int
main(int argc, char **argv)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct load load = {0};
    struct server server;
    int64_t clients = 0, orders = 0, port = 0;

    bool is_http_01 = argc == 8 && text_equal(argv[6], "http-01") && text_parse_number(argv[7], 1, 65535, &port);
    bool is_preapproved = argc == 7 && text_equal(argv[6], "pre-approved");
    if ((!is_http_01 && !is_preapproved) || !text_parse_number(argv[4], 1, CLIENTS_MAX, &clients) ||
        !text_parse_number(argv[5], 1, ORDERS_MAX, &orders))
        die("usage: acme DIRECTORY CA_BUNDLE DOMAIN CLIENTS ORDERS http-01 PORT|pre-approved");
    if (server_of_url(rq, argv[1], argv[2], &server) != OK)
        die(rq->failure.message);
    (void)signal(SIGPIPE, SIG_IGN); /* a server that closes is an error of its order */
    server.content_type = "application/jose+json";
    load.directory_url = argv[1];
    load.server = &server;
    load.orders = (size_t)orders;
    make_csrs(&load, rq->arena, argv[3]);
    load.signer = signer_new(rq->arena, load.orders * SIGNATURES_PER_ORDER + (size_t)clients);
    if (is_http_01)
        load.responder = responder_start((int)port, (size_t)clients);
    struct client *all = arena_array(rq->arena, (size_t)clients, sizeof *all);
    run(&load, all, (size_t)clients);
    if (is_http_01)
        responder_stop(load.responder);
    signer_free(load.signer);
    SSL_CTX_free(server.tls);
    return print(&load, (size_t)clients) == 0 ? 0 : 1;
}
