/*
 * Questions to the DNS by libunbound, which asks the configured resolver each time anew. Its questions run on a thread of libunbound's; a thread of
 * ours takes the answers in, and each validation waits for its own no longer than its deadline.
 *
 * Everything is set before the first question: afterwards a context cannot be changed any more.
 */
#include "validator.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unbound.h>

#include "base/clock.h"
#include "base/config.h"

#define DNS_MS 8000
#define POLL_MS 200
#define RRCLASS_IN 1
#define RCODE_NXDOMAIN 3

struct resolver {
    struct ub_ctx *ub;
    pthread_t thread;
    atomic_bool closing;
    pthread_mutex_t mutex;
};

struct question {
    struct questions *all;
    int id;
    bool done;
    int error;
    struct ub_result *result;
};

/* Of one look, who waits for the last of them. Held by him, and for each question by libunbound until it has called back: whoever lets go last
 * frees. */
struct questions {
    struct resolver *resolver;
    pthread_cond_t answered;
    size_t holders;
    size_t open; /* without an answer */
    size_t count;
    struct question at[];
};

/* Zones that libunbound answers itself (RFC 6303, RFC 6761) although a private network may well serve them. */
static const char *const our_zones[] = {"test.", "localhost.", "home.arpa.", "invalid."};

/* Letters of questions in mixed case, which an answer must repeat ("0x20"): a forger has to guess them, too. */
static const char *const ub_options[][2] = {
    {"use-caps-for-id:", "yes"},
    {"cache-max-ttl:", "0"},
    {"cache-max-negative-ttl:", "0"},
};

static void *
take_answers(void *context)
{
    struct resolver *resolver = context;
    struct pollfd wait = {.fd = ub_fd(resolver->ub), .events = POLLIN};

    while (!resolver->closing)
        if (poll(&wait, 1, POLL_MS) > 0)
            (void)ub_process(resolver->ub);
    return NULL;
}

static enum error
forward_to(struct request *rq, struct ub_ctx *ub, const char *dns_address)
{
    char host[256];
    int port;

    if (text_is_empty(dns_address))
        return ub_ctx_resolvconf(ub, NULL) == 0 ? OK : fail(rq, ERR_INTERNAL, "the system's resolver is not known: /etc/resolv.conf cannot be read");
    if (!config_split_address(dns_address, host, &port))
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_DNS_ADDR: \"%.80s\" is not host:port", dns_address);
    int code = ub_ctx_set_fwd(ub, arena_format(rq->arena, "%s@%d", host, port));
    return code == 0 ? OK : fail(rq, ERR_BAD_REQUEST, "SIGNET_DNS_ADDR: \"%.80s\": %s", dns_address, ub_strerror(code));
}

/* DNSSEC (RFC 4035): without a trust anchor nothing can be validated; below one everything must be, but what is named insecure. */
static enum error
trust(struct request *rq, struct ub_ctx *ub, const struct resolver_options *options)
{
    bool validates = !text_is_empty(options->trust_anchor_file);
    size_t count;
    char **insecure = text_split(rq->arena, options->insecure_domains, ',', &count);

    int code = ub_ctx_set_option(ub, "module-config:", validates ? "validator iterator" : "iterator");
    for (size_t i = 0; code == 0 && i < count; i++)
        code = ub_ctx_set_option(ub, "domain-insecure:", insecure[i]);
    if (code == 0 && validates)
        code = ub_ctx_add_ta_file(ub, options->trust_anchor_file);
    if (code != 0)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_DNS_TRUST_ANCHOR_FILE or SIGNET_DNS_INSECURE_DOMAINS cannot be used: %s", ub_strerror(code));
    return OK;
}

static enum error
configure(struct request *rq, struct ub_ctx *ub, const struct resolver_options *options)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sizeof ub_options / sizeof ub_options[0]; i++)
        code = ub_ctx_set_option(ub, ub_options[i][0], ub_options[i][1]);
    /* A thread, not a process: the child would carry a copy of everything. */
    if (code == 0)
        code = ub_ctx_async(ub, 1);
    if (code != 0)
        return fail(rq, ERR_INTERNAL, "libunbound cannot be set up: %s", ub_strerror(code));
    enum error error = trust(rq, ub, options);
    if (!error)
        error = forward_to(rq, ub, options->dns_address);
    /* Only now: removing a zone makes the context final. */
    for (size_t i = 0; !error && i < sizeof our_zones / sizeof our_zones[0]; i++)
        if (ub_ctx_zone_remove(ub, our_zones[i]) != 0)
            return fail(rq, ERR_BAD_REQUEST, "libunbound cannot be set up with SIGNET_DNS_ADDR and SIGNET_DNS_TRUST_ANCHOR_FILE as they are");
    return error;
}

enum error
resolver_open(struct request *rq, const struct resolver_options *options, struct resolver **ret_resolver)
{
    struct ub_ctx *ub = ub_ctx_create();
    if (ub == NULL)
        abort();
    (void)ub_ctx_debugout(ub, NULL); /* what it has to say comes with its answers */
    enum error error = configure(rq, ub, options);
    if (error) {
        ub_ctx_delete(ub);
        return error;
    }
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        abort();
    resolver->ub = ub;
    pthread_mutex_init(&resolver->mutex, NULL);
    if (pthread_create(&resolver->thread, NULL, take_answers, resolver) != 0)
        abort();
    *ret_resolver = resolver;
    return OK;
}

void
resolver_close(struct resolver *resolver)
{
    resolver->closing = true;
    pthread_join(resolver->thread, NULL);
    ub_ctx_delete(resolver->ub);
    pthread_mutex_destroy(&resolver->mutex);
    free(resolver);
}

static struct questions *
new_questions(struct resolver *resolver, size_t count)
{
    struct questions *all = calloc(1, sizeof *all + count * sizeof all->at[0]);

    if (all == NULL)
        abort();
    *all = (struct questions){.resolver = resolver, .holders = 1 + count, .open = count, .count = count};
    pthread_cond_init(&all->answered, NULL);
    for (size_t i = 0; i < count; i++)
        all->at[i].all = all;
    return all;
}

/* With the mutex held. */
static void
let_go(struct questions *all)
{
    if (--all->holders > 0)
        return;
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].result != NULL)
            ub_resolve_free(all->at[i].result);
    pthread_cond_destroy(&all->answered);
    free(all);
}

static void
on_answer(void *context, int error, struct ub_result *result)
{
    struct question *question = context;
    struct questions *all = question->all;

    AUTO_LOCK(&all->resolver->mutex);
    question->done = true;
    question->error = error;
    question->result = result;
    if (--all->open == 0)
        pthread_cond_signal(&all->answered);
    let_go(all);
}

static void
ask(struct question *question, const struct lookup *lookup)
{
    struct ub_ctx *ub = question->all->resolver->ub;
    int error = ub_resolve_async(ub, lookup->name, lookup->type, RRCLASS_IN, question, on_answer, &question->id);

    if (error != 0)
        on_answer(question, error, NULL); /* libunbound did not take it */
}

static void
wait_for(struct questions *all, int64_t until_ms)
{
    AUTO_LOCK(&all->resolver->mutex);

    while (all->open > 0)
        if (!clock_wait(&all->answered, &all->resolver->mutex, until_ms))
            return;
}

static bool
is_open(const struct question *question)
{
    AUTO_LOCK(&question->all->resolver->mutex);

    return !question->done;
}

/* Questions that libunbound still knows are cancelled and never call back; of any other it has called back or is about to. */
static void
release(struct questions *all)
{
    struct resolver *resolver = all->resolver;

    for (size_t i = 0; i < all->count; i++) {
        if (!is_open(&all->at[i]) || ub_cancel(resolver->ub, all->at[i].id) != 0)
            continue;
        AUTO_LOCK(&resolver->mutex);
        all->holders--;
    }
    AUTO_LOCK(&resolver->mutex);
    let_go(all);
}

static void
take_records(struct arena *arena, const struct ub_result *result, struct lookup *lookup)
{
    size_t count = 0;

    while (result->havedata && result->data[count] != NULL)
        count++;
    if (count > RECORDS_MAX) {
        lookup->failed = true;
        lookup->why = arena_format(arena, "there are more than %d records", RECORDS_MAX);
        return;
    }
    struct bytes *records = arena_array(arena, count, sizeof *records);
    for (size_t i = 0; i < count; i++)
        records[i] = bytes_copy(arena, BYTES(result->data[i], (size_t)result->len[i]));
    lookup->records = records;
    lookup->count = count;
}

static void
take_answer(struct arena *arena, const struct question *question, struct lookup *lookup)
{
    AUTO_LOCK(&question->all->resolver->mutex);
    const struct ub_result *result = question->result;

    lookup->failed = true;
    if (!question->done)
        lookup->why = "the resolver did not answer in time";
    else if (question->error != 0 || result == NULL)
        lookup->why = ub_strerror(question->error);
    else if (result->bogus)
        lookup->why = arena_format(arena, "DNSSEC validation failed: %.200s", result->why_bogus == NULL ? "bogus" : result->why_bogus);
    else if (result->rcode != 0 && result->rcode != RCODE_NXDOMAIN)
        lookup->why = "the resolver answered that it failed (SERVFAIL)";
    else {
        lookup->failed = false;
        lookup->why = result->rcode == RCODE_NXDOMAIN ? "the name does not exist (NXDOMAIN)" : NULL;
        lookup->aliased = result->canonname != NULL;
        take_records(arena, result, lookup);
    }
}

void
look_up(struct resolver *resolver, struct request *rq, struct lookup *lookups, size_t count)
{
    int64_t until_ms = clock_monotonic_ms() + request_time_left_ms(rq, DNS_MS);
    struct questions *all = new_questions(resolver, count);

    for (size_t i = 0; i < count; i++)
        ask(&all->at[i], &lookups[i]);
    wait_for(all, until_ms);
    for (size_t i = 0; i < count; i++)
        take_answer(rq->arena, &all->at[i], &lookups[i]);
    release(all);
}
