/*
 * Enrolments a second of devices with RSA-2048 keys, whose requests are ready before the clock starts, over one keep-alive connection per caller.
 *
 *     device scep URL RECIPIENT_PEM CHALLENGE CALLERS COUNT [FORGIVEN]
 *     device est URL CA_BUNDLE USER:PASSWORD CALLERS COUNT
 *
 * URL is where the requests go, whole. Each answer must be 200, and in SCEP its pkiStatus SUCCESS. Prints one JSON object; ends with 1 when an
 * enrolment failed, or more than FORGIVEN.
 */
#include "device.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "connection.h"
#include "processor.h"

#define CALLERS_MAX 1000
#define COUNT_MAX 10000000
#define ERRORS_MAX 5 /* then the callers give up: each may be as long as patience lasts */

struct load {
    const char *url;
    bool is_scep;
    struct server server;
    struct bytes *bodies;
    int64_t *times_us; /* of each enrolment, 0: it failed */
    size_t count, forgiven;
    atomic_size_t next, errors;
    int64_t took_us, used_us; /* by the clock, and of this program's processor time */
};

static void
die(const char *why)
{
    fprintf(stderr, "device: %s\n", why);
    exit(1);
}

static enum error
enroll(struct load *load, struct connection *connection, struct request *rq, struct bytes body)
{
    struct answer answer;

    enum error error = connection_call(connection, rq, load->url, body, &answer);
    if (error)
        return error;
    if (answer.status != 200)
        return fail(rq, ERR_CONFLICT, "status %d: %.500s", answer.status, bytes_text(rq->arena, answer.body));
    if (load->is_scep && !device_is_success(answer.body))
        return fail(rq, ERR_CONFLICT, "the pkiStatus is not SUCCESS");
    return OK;
}

static void *
caller(void *context)
{
    struct load *load = context;
    AUTO_STRUCT(connection, connection) = connection_new(&load->server);

    for (size_t i; atomic_load(&load->errors) < load->forgiven + ERRORS_MAX && (i = atomic_fetch_add(&load->next, 1)) < load->count;) {
        AUTO_STRUCT(request, rq) = request_new();
        int64_t begin_us = clock_monotonic_us();
        if (enroll(load, connection, rq, load->bodies[i]) == OK) {
            load->times_us[i] = clock_monotonic_us() - begin_us;
            continue;
        }
        atomic_fetch_add(&load->errors, 1);
        fprintf(stderr, "device: enrolment %zu: %s\n", i, rq->failure.message);
        connection_drop(connection);
    }
    return NULL;
}

static void
run(struct load *load, size_t callers)
{
    pthread_t threads[CALLERS_MAX];
    int64_t begin_us = clock_monotonic_us(), used_before_us = processor_used_us();

    for (size_t i = 0; i < callers; i++)
        if (pthread_create(&threads[i], NULL, caller, load) != 0)
            die("a thread cannot be started");
    for (size_t i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
    load->took_us = clock_monotonic_us() - begin_us;
    load->used_us = processor_used_us() - used_before_us;
}

static int
compare(const void *a, const void *b)
{
    int64_t difference = *(const int64_t *)a - *(const int64_t *)b;

    return (difference > 0) - (difference < 0);
}

static void
print(struct load *load, size_t callers)
{
    size_t failed = 0;

    qsort(load->times_us, load->count, sizeof *load->times_us, compare);
    while (failed < load->count && load->times_us[failed] == 0)
        failed++;
    size_t done = load->count - failed;
    if (done == 0)
        die("no enrolment came to its end");
    const int64_t *times_us = load->times_us + failed;
    size_t half = done / 2, nearly_all = done * 99 / 100;
    printf("{\"callers\": %zu, \"enrolments\": %zu, \"per_second\": %.1f, \"own_us\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, "
           "\"errors\": %zu}\n",
           callers, done, (double)done * 1e6 / (double)load->took_us, (double)load->used_us / (double)done, (double)times_us[half] / 1000.0,
           (double)times_us[nearly_all] / 1000.0, (double)times_us[done - 1] / 1000.0, atomic_load(&load->errors));
}

static void
prepare(struct load *load, struct request *rq, const char *trust, const char *secret)
{
    if (server_of_url(rq, load->url, load->is_scep ? NULL : trust, &load->server) != OK)
        die(rq->failure.message);
    load->times_us = arena_array(rq->arena, load->count, sizeof *load->times_us);
    memset(load->times_us, 0, load->count * sizeof *load->times_us);
    if (load->is_scep) {
        load->server.content_type = "application/x-pki-message";
        load->bodies = device_scep_messages(rq->arena, trust, secret, load->count);
        return;
    }
    load->server.content_type = "application/pkcs10";
    load->server.fields =
        arena_format(rq->arena, "Authorization: Basic %s\r\nContent-Transfer-Encoding: base64\r\n", base64_encode(rq->arena, bytes_of_text(secret)));
    load->bodies = device_est_bodies(rq->arena, load->count);
}

int
main(int argc, char **argv)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct load load = {0};
    int64_t callers = 0, count = 0, forgiven = 0;

    if (argc < 7 || argc > 8 || (!text_equal(argv[1], "scep") && !text_equal(argv[1], "est")) ||
        !text_parse_number(argv[5], 1, CALLERS_MAX, &callers) || !text_parse_number(argv[6], 1, COUNT_MAX, &count) ||
        (argc == 8 && !text_parse_number(argv[7], 0, COUNT_MAX, &forgiven)))
        die("usage: device scep URL RECIPIENT_PEM CHALLENGE CALLERS COUNT [FORGIVEN] | device est URL CA_BUNDLE USER:PASSWORD CALLERS COUNT");
    (void)signal(SIGPIPE, SIG_IGN); /* a server that closes is an error of its enrolment */
    load.is_scep = text_equal(argv[1], "scep");
    load.url = argv[2];
    load.count = (size_t)count;
    load.forgiven = (size_t)forgiven;
    prepare(&load, rq, argv[3], argv[4]);
    run(&load, (size_t)callers);
    print(&load, (size_t)callers);
    SSL_CTX_free(load.server.tls);
    return atomic_load(&load.errors) <= load.forgiven ? 0 : 1;
}
