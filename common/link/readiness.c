/*
 * Asks every check on a thread of its own, about once a second and more often while one fails, so that /readyz answers from memory and a check
 * that hangs cannot hang whoever asks. A change of the verdict is one log line.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "link/service_internal.h"

#define CHECKS_MAX 32
#define CHECK_MS 2000
#define PAUSE_READY_MS 1000
#define PAUSE_UNREADY_MS 250
#define VERDICT_OLD_MS 10000
#define READINESS_STACK_SIZE (512 * 1024)

struct check {
    const char *what;
    enum error (*ask)(void *context, struct request *rq);
    void *context;
    char reason[sizeof(((struct failure *)NULL)->message)]; /* "" when it was OK */
};

struct readiness {
    const struct service *service;
    pthread_t thread;
    bool started;
    pthread_cond_t stop_asked;
    pthread_mutex_t mutex; /* guards what follows */
    struct check checks[CHECKS_MAX];
    size_t check_count;
    bool ready;
    int64_t asked_ms; /* when the last round was complete; 0: none yet */
    bool stopping;
};

struct readiness *
readiness_new(const struct service *service)
{
    struct readiness *readiness = calloc(1, sizeof *readiness);

    if (readiness == NULL)
        abort();
    readiness->service = service;
    pthread_mutex_init(&readiness->mutex, NULL);
    pthread_cond_init(&readiness->stop_asked, NULL);
    return readiness;
}

void
readiness_add(struct readiness *readiness, const char *what, enum error (*check)(void *context, struct request *rq), void *context)
{
    AUTO_LOCK(&readiness->mutex);
    assert(readiness->check_count < CHECKS_MAX);
    readiness->checks[readiness->check_count++] = (struct check){.what = what, .ask = check, .context = context};
}

/* Writes the verdict into the checks that were asked; returns whether all were OK. */
static bool
ask_all(struct readiness *readiness)
{
    bool ready = true;

    pthread_mutex_lock(&readiness->mutex);
    size_t count = readiness->check_count;
    pthread_mutex_unlock(&readiness->mutex);
    for (size_t i = 0; i < count; i++) {
        struct check *check = &readiness->checks[i];
        AUTO_STRUCT(request, rq) = request_new();
        rq->deadline_ms = clock_monotonic_ms() + CHECK_MS;
        enum error result = check->ask(check->context, rq);
        ready = ready && result == OK;
        const char *message = rq->failure.message[0] == '\0' ? error_name(result) : rq->failure.message;
        AUTO_LOCK(&readiness->mutex);
        snprintf(check->reason, sizeof check->reason, "%s", result == OK ? "" : message);
    }
    return ready;
}

static void
first_reason(const struct readiness *readiness, char *ret_reason)
{
    ret_reason[0] = '\0';
    for (size_t i = 0; i < readiness->check_count && ret_reason[0] == '\0'; i++)
        if (readiness->checks[i].reason[0] != '\0')
            snprintf(ret_reason, SERVICE_REASON_ROOM, "%.60s: %.1000s", readiness->checks[i].what, readiness->checks[i].reason);
}

static void
say_change(const struct readiness *readiness, bool ready, const char *reason)
{
    char ms[24];

    snprintf(ms, sizeof ms, "%lld", (long long)(clock_monotonic_ms() - readiness->service->started_ms));
    if (ready)
        log_line(LOG_LEVEL_INFO, "service.ready", "ms_since_start", ms, NULL);
    else
        log_line(LOG_LEVEL_WARNING, "service.unready", "reason", reason, NULL);
}

static void
one_round(struct readiness *readiness, char *said)
{
    char reason[SERVICE_REASON_ROOM];

    bool ready = ask_all(readiness);
    pthread_mutex_lock(&readiness->mutex);
    bool changed = readiness->asked_ms == 0 || ready != readiness->ready;
    readiness->ready = ready;
    readiness->asked_ms = clock_monotonic_ms();
    first_reason(readiness, reason);
    pthread_mutex_unlock(&readiness->mutex);
    if (changed || strcmp(reason, said) != 0)
        say_change(readiness, ready, reason);
    snprintf(said, SERVICE_REASON_ROOM, "%s", reason);
}

/* False when it is time to end. */
static bool
pause_until_next_round(struct readiness *readiness)
{
    AUTO_LOCK(&readiness->mutex);
    int64_t until_ms = clock_monotonic_ms() + (readiness->ready ? PAUSE_READY_MS : PAUSE_UNREADY_MS);

    while (!readiness->stopping)
        if (!clock_wait(&readiness->stop_asked, &readiness->mutex, until_ms))
            break;
    return !readiness->stopping;
}

static void *
readiness_main(void *argument)
{
    struct readiness *readiness = argument;
    char said[SERVICE_REASON_ROOM] = "";

    do
        one_round(readiness, said);
    while (pause_until_next_round(readiness));
    return NULL;
}

void
readiness_start(struct readiness *readiness)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, READINESS_STACK_SIZE);
    if (pthread_create(&readiness->thread, &attributes, readiness_main, readiness) != 0)
        abort();
    pthread_attr_destroy(&attributes);
    readiness->started = true;
}

void
readiness_stop(struct readiness *readiness)
{
    struct timespec until;

    pthread_mutex_lock(&readiness->mutex);
    readiness->stopping = true;
    pthread_cond_signal(&readiness->stop_asked);
    pthread_mutex_unlock(&readiness->mutex);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CHECK_MS / 1000 + 1;
    /* ThreadSanitizer of gcc 12 does not know this call, and takes the thread for one that nobody waits for (report_thread_leaks=0). */
    if (readiness->started && pthread_clockjoin_np(readiness->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        log_line(LOG_LEVEL_WARNING, "service.check_hangs", NULL);
}

/* Under the mutex. */
static bool
judge(const struct readiness *readiness, char *ret_reason)
{
    ret_reason[0] = '\0';
    if (atomic_load(&readiness->service->draining))
        snprintf(ret_reason, SERVICE_REASON_ROOM, "draining");
    else if (readiness->asked_ms == 0)
        snprintf(ret_reason, SERVICE_REASON_ROOM, "starting");
    else if (clock_monotonic_ms() - readiness->asked_ms > VERDICT_OLD_MS)
        snprintf(ret_reason, SERVICE_REASON_ROOM, "a readiness check does not return");
    else
        first_reason(readiness, ret_reason);
    return ret_reason[0] == '\0';
}

bool
readiness_verdict(struct readiness *readiness, char ret_reason[SERVICE_REASON_ROOM])
{
    AUTO_LOCK(&readiness->mutex);
    return judge(readiness, ret_reason);
}

char *
readiness_json(struct readiness *readiness, struct arena *arena, bool *ret_ready)
{
    char reason[SERVICE_REASON_ROOM];
    json_t *checks = json_object();

    AUTO_LOCK(&readiness->mutex);
    *ret_ready = judge(readiness, reason);
    for (size_t i = 0; i < readiness->check_count; i++) {
        const struct check *check = &readiness->checks[i];
        json_object_set_new(checks, check->what, json_string(check->reason[0] == '\0' ? "ok" : check->reason));
    }
    json_t *page = json_pack("{s:b, s:s, s:s, s:s, s:o}", "ready", *ret_ready, "reason", reason, "service", readiness->service->about->name,
                             "instance", readiness->service->instance, "checks", checks);
    AUTO_FREE char *text = json_dumps(page, JSON_COMPACT);
    json_decref(page);
    if (text == NULL)
        abort();
    return arena_format(arena, "%s\n", text);
}
