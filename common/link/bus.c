/*
 * The process's two lines to NATS, kept for ever: one for calls, made at start, and one for streams, made when they are first used. rpc_call.c
 * sends on the first and outbox.c on the second, rpc_serve.c and events.c hang on them as parts.
 *
 * nats.c reconnects by itself after a lost connection, but gives up when the server refuses the credentials twice in a row (a
 * permission file that is being replaced is enough). The keeper thread then opens another connection and attaches the parts to it.
 */
#include "link/bus_nats.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"

#define REOPEN_PAUSE_MS 1000
#define FIRST_LINK_WAIT_MS 3000
#define RETRY_AFTER_S 2

/* One link after another. */
struct line {
    struct bus *bus;
    const char *name; /* for the log */
    bool wanted;
    int64_t try_again_ms; /* 0 before the first attempt */
    struct bus_link *link;
    int opened, closed; /* connections made, and those whose end nats.c has told of */
};

struct part {
    struct bus_part about;
    struct line *line;
    bool stopped;
    struct part *next; /* newest first: the order of stopping */
};

struct bus {
    struct arena *arena; /* of the bus itself and its lists; guarded by mutex after bus_open */
    const char *name;
    natsOptions *options;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct line calls, streams;
    bool closing;
    pthread_t keeper;
    struct part *parts;
    struct bus_bin *bin;
};

/* ---- what nats.c tells, on its threads ---- */

static void
on_error(natsConnection *nats, natsSubscription *subscription, natsStatus status, void *context)
{
    const char *detail = NULL;
    if (natsConnection_GetLastError(nats, &detail) == NATS_OK || detail == NULL || detail[0] == '\0')
        detail = natsStatus_GetText(status);
    /* The one who asked sees a mere time-out: this line is the only place that tells the reason. */
    if (status == NATS_NOT_PERMITTED)
        log_line(LOG_LEVEL_ERROR, "bus.not_permitted", "detail", detail, NULL);
    else if (status == NATS_SLOW_CONSUMER)
        log_line(LOG_LEVEL_WARNING, "bus.slow_consumer", "subject", subscription == NULL ? "" : natsSubscription_GetSubject(subscription), NULL);
    else
        log_line(LOG_LEVEL_WARNING, "bus.error", "detail", detail, "status", natsStatus_GetText(status), NULL);
}

static void
on_connected(natsConnection *nats, void *context)
{
    struct line *line = context;
    log_line(LOG_LEVEL_INFO, "bus.connected", "line", line->name, NULL);
}

static void
on_disconnected(natsConnection *nats, void *context)
{
    struct line *line = context;
    AUTO_LOCK(&line->bus->mutex);
    if (!line->bus->closing)
        log_line(LOG_LEVEL_WARNING, "bus.lost", "line", line->name, NULL);
}

static void
tell_parts(struct line *line)
{
    struct bus *bus = line->bus;
    AUTO_LOCK(&bus->mutex);
    for (struct part *part = bus->parts; part != NULL; part = part->next)
        if (part->line == line && !part->stopped && part->about.reconnected != NULL)
            part->about.reconnected(part->about.context);
}

static void
on_reconnected(natsConnection *nats, void *context)
{
    struct line *line = context;
    log_line(LOG_LEVEL_INFO, "bus.reconnected", "line", line->name, NULL);
    tell_parts(line);
}

/* The last that is ever called for a connection: by bus_close, or because nats.c gave up on it. */
static void
on_closed(natsConnection *nats, void *context)
{
    struct line *line = context;
    const char *detail = "";
    (void)natsConnection_GetLastError(nats, &detail);
    AUTO_LOCK(&line->bus->mutex);
    if (!line->bus->closing)
        log_line(LOG_LEVEL_ERROR, "bus.refused", "line", line->name, "detail", detail, NULL);
    line->closed++;
    pthread_cond_broadcast(&line->bus->changed);
}

static natsStatus
call_back(natsOptions *options, struct line *line)
{
    natsStatus status = natsOptions_SetRetryOnFailedConnect(options, true, on_connected, line);
    if (status == NATS_OK)
        status = natsOptions_SetErrorHandler(options, on_error, line);
    if (status == NATS_OK)
        status = natsOptions_SetDisconnectedCB(options, on_disconnected, line);
    if (status == NATS_OK)
        status = natsOptions_SetReconnectedCB(options, on_reconnected, line);
    if (status == NATS_OK)
        status = natsOptions_SetClosedCB(options, on_closed, line);
    return status;
}

/* ---- links ---- */

static void
link_free(struct bus_link *link)
{
    natsConnection_Destroy(link->nats);
    free(link);
}

static struct bus_link *
hold(struct bus_link *link)
{
    if (link != NULL)
        link->holds++;
    return link;
}

struct bus_link *
bus_hold(struct bus *bus)
{
    AUTO_LOCK(&bus->mutex);
    return hold(bus->calls.link);
}

struct bus_link *
bus_hold_streams(struct bus *bus)
{
    int64_t until_ms = clock_monotonic_ms() + FIRST_LINK_WAIT_MS;
    AUTO_LOCK(&bus->mutex);
    if (!bus->streams.wanted) {
        bus->streams.wanted = true;
        pthread_cond_broadcast(&bus->changed);
    }
    while (bus->streams.try_again_ms == 0)
        if (!clock_wait(&bus->changed, &bus->mutex, until_ms))
            break;
    return hold(bus->streams.link);
}

void
bus_link_release(struct bus_link *link)
{
    pthread_mutex_lock(&link->bus->mutex);
    bool last = --link->holds == 0;
    pthread_mutex_unlock(&link->bus->mutex);
    if (last)
        link_free(link);
}

bool
bus_link_is_up(const struct bus_link *link)
{
    return link != NULL && natsConnection_Status(link->nats) == NATS_CONN_STATUS_CONNECTED;
}

enum error
bus_link_check(const struct bus_link *link, struct request *rq)
{
    if (bus_link_is_up(link))
        return OK;
    const char *why = NULL;
    if (link != NULL)
        (void)natsConnection_GetLastError(link->nats, &why);
    (void)fail_privately(rq, ERR_UNAVAILABLE, "the bus is not connected", "%s", why == NULL ? "" : why);
    return fail_retry_after(rq, RETRY_AFTER_S);
}

static struct bus_link *
link_open(struct line *line)
{
    natsConnection *nats = NULL;
    natsStatus status = call_back(line->bus->options, line); /* nats.c connects with a copy */
    if (status == NATS_OK)
        status = natsConnection_Connect(&nats, line->bus->options);
    if (nats == NULL) {
        log_line(LOG_LEVEL_ERROR, "bus.refused", "line", line->name, "detail", natsStatus_GetText(status), NULL);
        return NULL;
    }
    if (status == NATS_OK)
        on_connected(nats, line);
    struct bus_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        abort();
    *link = (struct bus_link){.nats = nats, .bus = line->bus, .holds = 1}; /* the bus's own hold */
    return link;
}

/* ---- lines and their keeper ---- */

static void
put_link(struct line *line, struct bus_link *fresh)
{
    line->link = fresh;
    line->opened++;
    for (struct part *part = line->bus->parts; part != NULL; part = part->next)
        if (part->line == line && !part->stopped && part->about.attach != NULL)
            part->about.attach(part->about.context, fresh->nats);
}

/* The first connection, or another for one that is closed for good. */
static void
line_renew(struct line *line)
{
    struct bus *bus = line->bus;
    struct bus_link *fresh = link_open(line);
    pthread_mutex_lock(&bus->mutex);
    struct bus_link *old = fresh == NULL ? NULL : line->link;
    if (fresh != NULL)
        put_link(line, fresh);
    line->try_again_ms = clock_monotonic_ms() + REOPEN_PAUSE_MS;
    pthread_cond_broadcast(&bus->changed);
    pthread_mutex_unlock(&bus->mutex);
    if (old == NULL)
        return;
    tell_parts(line);
    bus_link_release(old);
}

static bool
needs_link(const struct line *line)
{
    return line->wanted && (line->link == NULL || natsConnection_IsClosed(line->link->nats));
}

/* NULL when both lines are well, else the one whose turn is first. */
static struct line *
line_in_need(struct bus *bus)
{
    if (!needs_link(&bus->streams))
        return needs_link(&bus->calls) ? &bus->calls : NULL;
    if (!needs_link(&bus->calls))
        return &bus->streams;
    return bus->streams.try_again_ms < bus->calls.try_again_ms ? &bus->streams : &bus->calls;
}

static void *
keep(void *context)
{
    struct bus *bus = context;
    pthread_mutex_lock(&bus->mutex);
    while (!bus->closing) {
        struct line *line = line_in_need(bus);
        if (line == NULL) {
            pthread_cond_wait(&bus->changed, &bus->mutex);
            continue;
        }
        if (clock_wait(&bus->changed, &bus->mutex, line->try_again_ms))
            continue; /* something happened before its time came */
        pthread_mutex_unlock(&bus->mutex);
        line_renew(line);
        pthread_mutex_lock(&bus->mutex);
    }
    pthread_mutex_unlock(&bus->mutex);
    nats_ReleaseThreadMemory();
    return NULL;
}

/* ---- opening and closing ---- */

/* False when someone still uses the link: his call ends now, but not his use of the bus. */
static bool
line_close(struct line *line, int64_t until_ms)
{
    struct bus *bus = line->bus;
    struct bus_link *link = line->link;
    if (link == NULL)
        return true;
    int64_t left_ms = until_ms - clock_monotonic_ms();
    if (bus_link_is_up(link))
        (void)natsConnection_FlushTimeout(link->nats, left_ms > 1 ? left_ms : 1);
    natsConnection_Close(link->nats);
    /* Before the last call back the bus may not be freed. */
    pthread_mutex_lock(&bus->mutex);
    while (line->closed < line->opened)
        pthread_cond_wait(&bus->changed, &bus->mutex);
    bool is_free = link->holds == 1;
    pthread_mutex_unlock(&bus->mutex);
    bus_link_release(link);
    return is_free;
}

static void
bus_free(struct bus *bus)
{
    bus_bin_free(bus->bin);
    natsOptions_Destroy(bus->options);
    pthread_cond_destroy(&bus->changed);
    pthread_mutex_destroy(&bus->mutex);
    arena_free(bus->arena);
}
DEFINE_AUTO_STRUCT(bus, bus_free);

enum error
bus_open(struct request *rq, const struct bus_options *options, struct bus **ret_bus)
{
    struct arena *arena = arena_new();
    AUTO_STRUCT(bus, bus) = arena_alloc(arena, sizeof(*bus));
    bus->arena = arena;
    bus->name = arena_text(arena, options->name);
    bus->calls = (struct line){.bus = bus, .name = "calls", .wanted = true};
    bus->streams = (struct line){.bus = bus, .name = "streams"};
    bus->bin = bus_bin_new();
    pthread_mutex_init(&bus->mutex, NULL);
    pthread_cond_init(&bus->changed, NULL);
    /* By default nats.c spins 2000 times before it waits for a lock; on few cores that is time taken from whoever holds it (a fifth of all calls). */
    natsStatus status = nats_Open(0);
    if (status == NATS_OK)
        status = bus_make_options(rq, options, &bus->options);
    if (status != NATS_OK) {
        const char *why = nats_GetLastError(NULL);
        return fail_privately(rq, ERR_INTERNAL, "the settings of the bus are not usable", "%s: %s", natsStatus_GetText(status),
                              why == NULL ? "" : why);
    }
    line_renew(&bus->calls);
    if (pthread_create(&bus->keeper, NULL, keep, bus) != 0)
        abort();
    *ret_bus = TAKE(bus);
    return OK;
}

static void
part_stop(struct bus *bus, struct part *part, int64_t most_ms)
{
    pthread_mutex_lock(&bus->mutex);
    part->stopped = true;
    pthread_mutex_unlock(&bus->mutex);
    if (part->about.stop != NULL)
        part->about.stop(part->about.context, most_ms > 1 ? (int)most_ms : 1);
}

void
bus_close(struct bus *bus, int most_ms)
{
    int64_t until = clock_monotonic_ms() + most_ms;
    for (struct part *part = bus->parts; part != NULL; part = part->next)
        part_stop(bus, part, until - clock_monotonic_ms());
    pthread_mutex_lock(&bus->mutex);
    bus->closing = true;
    pthread_cond_broadcast(&bus->changed);
    pthread_mutex_unlock(&bus->mutex);
    pthread_join(bus->keeper, NULL);

    bool is_free = line_close(&bus->calls, until);
    is_free = line_close(&bus->streams, until) && is_free;
    for (struct part *part = bus->parts; part != NULL; part = part->next)
        if (part->about.free != NULL)
            part->about.free(part->about.context);
    if (is_free)
        bus_free(bus); /* else a handler outlived the drain, and the process is about to end */
}

/* ---- questions and parts ---- */

enum error
bus_check(void *context, struct request *rq)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(context);
    return bus_link_check(link, rq);
}

void
bus_add_part(struct bus *bus, const struct bus_part *about)
{
    AUTO_LOCK(&bus->mutex);
    struct part *part = arena_alloc(bus->arena, sizeof(*part));
    *part = (struct part){.about = *about, .line = about->on_streams ? &bus->streams : &bus->calls, .next = bus->parts};
    bus->parts = part;
    if (about->attach != NULL && part->line->link != NULL)
        about->attach(about->context, part->line->link->nats);
}

int64_t
bus_lag(struct bus *bus)
{
    AUTO_LOCK(&bus->mutex);
    int64_t sum = 0;
    for (struct part *part = bus->parts; part != NULL; part = part->next) {
        int64_t lag = part->stopped || part->about.lag == NULL ? 0 : part->about.lag(part->about.context);
        if (lag < 0)
            return -1;
        sum += lag;
    }
    return sum;
}

const char *
bus_name(const struct bus *bus)
{
    return bus->name;
}

struct bus_bin *
bus_bin(const struct bus *bus)
{
    return bus->bin;
}

char *
bus_new_inbox(const struct bus *bus, struct arena *arena)
{
    uint8_t random[16];
    random_bytes(random, sizeof(random));
    return arena_format(arena, "_INBOX.%s.%s", bus->name, bytes_hex(arena, BYTES(random, sizeof(random)), 0));
}
