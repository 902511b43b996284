/*
 * Figures that every process has: its age, memory, descriptors and readiness, and all requests by step, counted as they end. Steps come from
 * route tables and contracts, so their number is bounded; the table here is, too.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "link/metrics.h"
#include "link/service_internal.h"

#define STEPS_MAX 1024 /* slots; half of them are enough for any service */
#define PROBES 16

static struct {
    struct metric *uptime_s, *resident_bytes, *descriptors, *ready;
} process;

struct step {
    char *name;
    struct metric *seconds;
};

static _Atomic(struct step *) steps[STEPS_MAX];

static struct step *
step_new(const char *name)
{
    struct step *step = calloc(1, sizeof *step);

    if (step == NULL)
        abort();
    step->name = strdup(name);
    step->seconds = metric_histogram("signet_request_seconds", "time from the begin to the end of a request", "step", name);
    return step;
}

/* NULL when there are more steps than anyone would look at. */
static struct step *
find_step(const char *name)
{
    static _Thread_local struct step *last; /* a loop's next request is most often for the same step: saves the hash of its name */
    size_t start = 5381;

    if (last != NULL && strcmp(last->name, name) == 0)
        return last;

    for (const char *at = name; *at != '\0'; at++)
        start = start * 33 + (unsigned char)*at;
    for (size_t i = 0; i < PROBES; i++) {
        _Atomic(struct step *) *slot = &steps[(start + i) % STEPS_MAX];
        struct step *found = atomic_load_explicit(slot, memory_order_acquire);
        if (found == NULL) {
            struct step *made = step_new(name);
            if (atomic_compare_exchange_strong(slot, &found, made))
                return last = made;
            /* Another thread was first; its step may be ours. */
            free(made->name);
            free(made);
        }
        if (strcmp(found->name, name) == 0)
            return last = found;
    }
    return NULL;
}

static void
count_request(const struct request *rq, enum error result)
{
    static _Atomic(struct metric *) results[ERR_COUNT];
    struct step *step = find_step(rq->step);

    if (step != NULL)
        metric_observe_us(step->seconds, clock_monotonic_us() - rq->started_us);
    struct metric *counter = atomic_load_explicit(&results[result], memory_order_acquire);
    if (counter == NULL) {
        counter = metric_counter("signet_requests_total", "requests by their result", "result", error_name(result));
        atomic_store_explicit(&results[result], counter, memory_order_release);
    }
    metric_add(counter, 1);
}

void
service_metrics_open(struct service *service)
{
    struct metric *info = metric_gauge("signet_build_info", "always 1", "version", SIGNET_VERSION);

    metric_set(info, 1);
    process.uptime_s = metric_gauge("signet_uptime_seconds", "since the start of the process", NULL, NULL);
    process.resident_bytes = metric_gauge("process_resident_memory_bytes", "resident set size", NULL, NULL);
    process.descriptors = metric_gauge("process_open_fds", "open file descriptors", NULL, NULL);
    process.ready = metric_gauge("signet_ready", "1 when every readiness check is passed", NULL, NULL);
    request_on_end(count_request);
}

static int64_t
resident_bytes(void)
{
    /* "size resident shared …", in pages */
    FILE *file = fopen("/proc/self/statm", "re");
    char text[128] = "";

    if (file == NULL)
        return 0;
    const char *resident = fgets(text, sizeof text, file) == NULL ? NULL : strchr(text, ' ');
    fclose(file);
    return resident == NULL ? 0 : strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static int64_t
open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int64_t count = 0;

    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* ".", ".." and this directory itself */
}

void
service_metrics_refresh(struct service *service)
{
    char reason[SERVICE_REASON_ROOM];

    metric_set(process.uptime_s, (clock_monotonic_ms() - service->started_ms) / 1000);
    metric_set(process.resident_bytes, resident_bytes());
    metric_set(process.descriptors, open_descriptors());
    metric_set(process.ready, readiness_verdict(service->readiness, reason));
}
