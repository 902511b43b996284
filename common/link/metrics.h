/*
 * Counters, gauges and histograms in Prometheus' text format. Made once at start, updated without locks.
 *
 *     static struct metric *issued;
 *     issued = metric_counter("signet_ra_issued_total", "certificates issued", "template", "TLS-Server-Internal");
 *     metric_add(issued, 1);
 *
 * A metric with the same name and labels is the same object. Names and help are borrowed (string literals); label values are
 * copied and must come from a bounded set. Metrics live as long as the process. Threads: any.
 */
#ifndef SIGNET_LINK_METRICS_H
#define SIGNET_LINK_METRICS_H

#include <stdint.h>

#include "base/bytes.h"

struct metric;

/* label NULL: no label. */
struct metric *metric_counter(const char *name, const char *help, const char *label, const char *value);
struct metric *metric_gauge(const char *name, const char *help, const char *label, const char *value);
/* Seconds, in buckets from 100 µs to 30 s. */
struct metric *metric_histogram(const char *name, const char *help, const char *label, const char *value);

void metric_add(struct metric *metric, int64_t by);
void metric_set(struct metric *metric, int64_t to);
void metric_observe_us(struct metric *metric, int64_t microseconds);

void metrics_render(struct buffer *to);

#endif
