/*
 * The figures behind /metrics. Metrics are found or made under a lock at start, and then counted by atomic additions: the request path never
 * waits here. Threads count in places of their own, or else the event loops would take one cache line from each other at every request. Rendering
 * adds up what is there; figures of one page may be a few additions apart.
 */
#include "link/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum metric_type { IS_COUNTER, IS_GAUGE, IS_HISTOGRAM };

static const struct {
    int64_t most_us;
    const char *seconds;
} buckets[] = {
    {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"}, {30000000, "30"},
};
#define BUCKETS (sizeof buckets / sizeof buckets[0])

#define PLACES 8      /* threads beyond that share one */
#define CACHE_LINE 64 /* octets */

struct place {
    _Alignas(CACHE_LINE) _Atomic int64_t number; /* a histogram's sum in µs */
    _Atomic uint64_t fallen[BUCKETS + 1];        /* not cumulated; the last is +Inf */
};

struct metric {
    struct metric *next; /* of the same family */
    enum metric_type type;
    const char *label; /* NULL: none */
    char *value;
    struct place *places; /* one for a gauge, which can be set, else PLACES */
};

/* All metrics of one name. */
struct family {
    struct family *next;
    enum metric_type type;
    const char *name, *help;
    struct metric *metrics;
};

static struct {
    pthread_mutex_t mutex;
    struct family *families;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct family *
find_or_make_family(enum metric_type type, const char *name, const char *help)
{
    struct family **at = &registry.families;

    while (*at != NULL && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
        if (*at == NULL)
            abort();
        **at = (struct family){.type = type, .name = name, .help = help};
    }
    assert((*at)->type == type);
    return *at;
}

static struct place *
places_new(enum metric_type type)
{
    size_t size = (type == IS_GAUGE ? 1 : PLACES) * sizeof(struct place);
    struct place *places = aligned_alloc(CACHE_LINE, size);

    if (places == NULL)
        abort();
    memset(places, 0, size);
    return places;
}

static struct place *
place_of_this_thread(struct metric *metric)
{
    static atomic_uint threads;
    static _Thread_local unsigned own; /* from 1 */

    if (metric->type == IS_GAUGE)
        return metric->places;
    if (own == 0)
        own = 1 + atomic_fetch_add(&threads, 1) % PLACES;
    return &metric->places[own - 1];
}

static struct metric *
find_or_make(enum metric_type type, const char *name, const char *help, const char *label, const char *value)
{
    assert((label == NULL) == (value == NULL));
    AUTO_LOCK(&registry.mutex);
    struct metric **at = &find_or_make_family(type, name, help)->metrics;

    while (*at != NULL && !(text_equal((*at)->label, label) && text_equal((*at)->value, value)))
        at = &(*at)->next;
    if (*at == NULL) {
        struct metric *made = calloc(1, sizeof *made);
        if (made == NULL)
            abort();
        made->places = places_new(type);
        made->type = type;
        made->label = label;
        if (value != NULL && (made->value = strdup(value)) == NULL)
            abort();
        *at = made;
    }
    return *at;
}

struct metric *
metric_counter(const char *name, const char *help, const char *label, const char *value)
{
    return find_or_make(IS_COUNTER, name, help, label, value);
}

struct metric *
metric_gauge(const char *name, const char *help, const char *label, const char *value)
{
    return find_or_make(IS_GAUGE, name, help, label, value);
}

struct metric *
metric_histogram(const char *name, const char *help, const char *label, const char *value)
{
    return find_or_make(IS_HISTOGRAM, name, help, label, value);
}

void
metric_add(struct metric *metric, int64_t by)
{
    assert(metric->type == IS_GAUGE || (metric->type == IS_COUNTER && by >= 0));
    atomic_fetch_add_explicit(&place_of_this_thread(metric)->number, by, memory_order_relaxed);
}

void
metric_set(struct metric *metric, int64_t to)
{
    assert(metric->type == IS_GAUGE);
    atomic_store_explicit(&metric->places->number, to, memory_order_relaxed);
}

void
metric_observe_us(struct metric *metric, int64_t microseconds)
{
    size_t bucket = 0;

    assert(metric->type == IS_HISTOGRAM);
    if (microseconds < 0)
        microseconds = 0;
    while (bucket < BUCKETS && microseconds > buckets[bucket].most_us)
        bucket++;
    struct place *place = place_of_this_thread(metric);
    atomic_fetch_add_explicit(&place->number, microseconds, memory_order_relaxed);
    atomic_fetch_add_explicit(&place->fallen[bucket], 1, memory_order_relaxed);
}

static int64_t
number_of(struct metric *metric)
{
    int64_t sum = 0;

    for (size_t i = 0; i < (metric->type == IS_GAUGE ? 1 : PLACES); i++)
        sum += atomic_load_explicit(&metric->places[i].number, memory_order_relaxed);
    return sum;
}

static uint64_t
fallen_into(struct metric *metric, size_t bucket)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < PLACES; i++)
        sum += atomic_load_explicit(&metric->places[i].fallen[bucket], memory_order_relaxed);
    return sum;
}

/* Backslash and line feed are escaped everywhere, the quote in label values only (Prometheus text format 0.0.4). */
static void
append_escaped(struct buffer *to, const char *text, bool quoted)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n')
            buffer_append_text(to, "\\n");
        else if (*at == '\\' || (quoted && *at == '"'))
            buffer_append_format(to, "\\%c", *at);
        else
            buffer_append(to, at, 1);
    }
}

/* name_suffix{label="value",le="bound"} and a blank; either pair may be missing. */
static void
append_series(struct buffer *to, const struct family *family, const char *suffix, const struct metric *metric, const char *bound)
{
    buffer_append_format(to, "%s%s", family->name, suffix);
    if (metric->label == NULL && bound == NULL) {
        buffer_append_text(to, " ");
        return;
    }
    buffer_append_text(to, "{");
    if (metric->label != NULL) {
        buffer_append_format(to, "%s=\"", metric->label);
        append_escaped(to, metric->value, true);
        buffer_append_text(to, bound != NULL ? "\"," : "\"");
    }
    if (bound != NULL)
        buffer_append_format(to, "le=\"%s\"", bound);
    buffer_append_text(to, "} ");
}

static void
render_histogram(struct buffer *to, const struct family *family, struct metric *metric)
{
    int64_t sum_us = number_of(metric);
    uint64_t count = 0;

    for (size_t i = 0; i <= BUCKETS; i++) {
        count += fallen_into(metric, i);
        append_series(to, family, "_bucket", metric, i < BUCKETS ? buckets[i].seconds : "+Inf");
        buffer_append_format(to, "%llu\n", (unsigned long long)count);
    }
    append_series(to, family, "_sum", metric, NULL);
    buffer_append_format(to, "%lld.%06lld\n", (long long)(sum_us / 1000000), (long long)(sum_us % 1000000));
    append_series(to, family, "_count", metric, NULL);
    buffer_append_format(to, "%llu\n", (unsigned long long)count);
}

static void
render_number(struct buffer *to, const struct family *family, struct metric *metric)
{
    append_series(to, family, "", metric, NULL);
    buffer_append_format(to, "%lld\n", (long long)number_of(metric));
}

void
metrics_render(struct buffer *to)
{
    static const char *const type_names[] = {[IS_COUNTER] = "counter", [IS_GAUGE] = "gauge", [IS_HISTOGRAM] = "histogram"};
    AUTO_LOCK(&registry.mutex);

    for (const struct family *family = registry.families; family != NULL; family = family->next) {
        buffer_append_format(to, "# HELP %s ", family->name);
        append_escaped(to, family->help, false);
        buffer_append_format(to, "\n# TYPE %s %s\n", family->name, type_names[family->type]);
        for (struct metric *metric = family->metrics; metric != NULL; metric = metric->next) {
            if (family->type == IS_HISTOGRAM)
                render_histogram(to, family, metric);
            else
                render_number(to, family, metric);
        }
    }
}
