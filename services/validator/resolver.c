/*
 * Questions to the DNS by libunbound, which asks the configured resolver each time anew. Who asks drives libunbound himself, in one poll with all his
 * questions: to hand them to another thread and the answers back would cost more than the asking. So each look has a context of libunbound's alone;
 * contexts that are free wait for the next look, the last one first.
 *
 * Everything is set before the first question: afterwards a context cannot be changed any more.
 */
#include "validator.h"

#include <pthread.h>
#include <stdlib.h>
#include <unbound-event.h>
#include <unbound.h>

#include "base/clock.h"
#include "base/config.h"
#include "event_loop.h"

#define DNS_MS 8000
#define RRCLASS_IN 1
#define RCODE_NXDOMAIN 3
#define FREE_MOST 32 /* that wait for the next look: one and a half megabytes each */
#define IS_BOGUS 1   /* what libunbound's call back says of DNSSEC */

/* A context and what it waits for. */
struct asker {
    struct asker *next; /* that is free, too */
    struct event_loop *loop;
    struct ub_ctx *ub;
};

struct resolver {
    struct resolver_options options;
    pthread_mutex_t mutex;
    struct asker *free;
    size_t free_count;
};

struct look {
    struct arena *arena;
    size_t open; /* questions without an answer */
    bool is_over;
};

struct question {
    struct look *look;
    struct lookup *lookup;
};

/* Zones that libunbound answers itself (RFC 6303, RFC 6761) although a private network may well serve them. */
static const char *const our_zones[] = {"test.", "localhost.", "home.arpa.", "invalid."};

/* Letters of questions in mixed case, which an answer must repeat ("0x20"): a forger has to guess them, too. */
static const char *const ub_options[][2] = {
    {"use-caps-for-id:", "yes"},
    {"cache-max-ttl:", "0"},
    {"cache-max-negative-ttl:", "0"},
};

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

static void
close_asker(struct asker *asker)
{
    ub_ctx_delete(asker->ub);
    event_loop_free(asker->loop);
    free(asker);
}

static enum error
open_asker(struct request *rq, const struct resolver_options *options, struct asker **ret_asker)
{
    struct asker *asker = calloc(1, sizeof *asker);

    if (asker == NULL)
        abort();
    asker->loop = event_loop_new();
    asker->ub = ub_ctx_create_ub_event(event_loop_base(asker->loop));
    if (asker->ub == NULL)
        abort();
    (void)ub_ctx_debugout(asker->ub, NULL); /* what it has to say comes with its answers */
    enum error error = configure(rq, asker->ub, options);
    if (error)
        close_asker(asker);
    else
        *ret_asker = asker;
    return error;
}

enum error
resolver_open(struct request *rq, const struct resolver_options *options, struct resolver **ret_resolver)
{
    struct asker *first;

    enum error error = open_asker(rq, options, &first);
    if (error)
        return error;
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        abort();
    resolver->options = *options;
    resolver->free = first;
    resolver->free_count = 1;
    pthread_mutex_init(&resolver->mutex, NULL);
    *ret_resolver = resolver;
    return OK;
}

void
resolver_close(struct resolver *resolver)
{
    for (struct asker *asker = resolver->free, *next; asker != NULL; asker = next) {
        next = asker->next;
        close_asker(asker);
    }
    pthread_mutex_destroy(&resolver->mutex);
    free(resolver);
}

/* ---- a look ---- */

/* NULL: there was none free, and none can be made any more, because a file of the settings is gone. */
static struct asker *
take_asker(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->mutex);
    struct asker *asker = resolver->free;
    if (asker != NULL) {
        resolver->free = asker->next;
        resolver->free_count--;
    }
    pthread_mutex_unlock(&resolver->mutex);
    if (asker != NULL)
        return asker;
    AUTO_STRUCT(request, rq) = request_new();
    return open_asker(rq, &resolver->options, &asker) == OK ? asker : NULL;
}

static bool
keep(struct resolver *resolver, struct asker *asker)
{
    AUTO_LOCK(&resolver->mutex);

    if (resolver->free_count == FREE_MOST)
        return false;
    asker->next = resolver->free;
    resolver->free = asker;
    resolver->free_count++;
    return true;
}

/* One with questions that are open would take the time until its next look for that of the answer, and hold the DNS to be slow. */
static void
give_back(struct resolver *resolver, struct asker *asker, bool has_open)
{
    if (has_open || !keep(resolver, asker))
        close_asker(asker);
}

static const char *
take_answer(struct arena *arena, struct bytes packet, struct lookup *lookup)
{
    struct dns_answer answer;

    if (!dns_answer_read(arena, packet, lookup->type, &answer))
        return "the resolver's answer cannot be read";
    if (answer.rcode != 0 && answer.rcode != RCODE_NXDOMAIN)
        return "the resolver answered that it failed (SERVFAIL)";
    if (answer.count > RECORDS_MAX)
        return arena_format(arena, "there are more than %d records", RECORDS_MAX);
    lookup->failed = false;
    lookup->aliased = answer.aliased;
    lookup->records = answer.records;
    lookup->count = answer.count;
    return answer.rcode == RCODE_NXDOMAIN ? "the name does not exist (NXDOMAIN)" : NULL;
}

static void
on_answer(void *context, int rcode, void *packet, int len, int security, char *why_bogus, int was_ratelimited)
{
    struct question *question = context;
    struct lookup *lookup = question->lookup;

    if (question->look->is_over)
        return; /* close_asker: libunbound calls back for what it drops */
    question->look->open--;
    if (rcode != 0)
        lookup->why = "the resolver answered that it failed (SERVFAIL)";
    else if (security == IS_BOGUS)
        lookup->why = arena_format(question->look->arena, "DNSSEC validation failed: %.200s", why_bogus == NULL ? "bogus" : why_bogus);
    else
        lookup->why = take_answer(question->look->arena, BYTES(packet, (size_t)len), lookup);
}

static void
ask(struct asker *asker, struct question *question)
{
    struct lookup *lookup = question->lookup;

    lookup->failed = true;
    lookup->why = "the resolver did not answer in time";
    int error = ub_resolve_event(asker->ub, lookup->name, lookup->type, RRCLASS_IN, question, on_answer, NULL);
    if (error != 0) { /* libunbound did not take it */
        lookup->why = ub_strerror(error);
        question->look->open--;
    }
}

static void
fail_all(struct lookup *lookups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        lookups[i].failed = true;
        lookups[i].why = "the resolver cannot be set up";
    }
}

void
look_up(struct resolver *resolver, struct request *rq, struct lookup *lookups, size_t count)
{
    int64_t until_ms = clock_monotonic_ms() + request_time_left_ms(rq, DNS_MS);
    struct question *questions = arena_array(rq->arena, count, sizeof *questions);
    struct asker *asker = take_asker(resolver);
    struct look look = {.arena = rq->arena, .open = count};

    if (asker == NULL) {
        fail_all(lookups, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        questions[i] = (struct question){.look = &look, .lookup = &lookups[i]};
        ask(asker, &questions[i]);
    }
    while (look.open > 0 && clock_monotonic_ms() < until_ms)
        event_loop_turn(asker->loop, until_ms);
    look.is_over = true;
    give_back(resolver, asker, look.open > 0);
}
