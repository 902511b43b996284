/*
 * JSON log lines on stderr, one object per line, written with one write(2).
 *
 *     {"time":"…","level":"info","service":"ra","instance":"…","trace":"…","step":"ra.Enroll","result":"ok","ms":1.204,"serial":"…"}
 *
 * Requests log through request_end. log_line is for the life of the process: start, ready, lost, drained.
 * Values are escaped; secrets have a type that cannot be passed here.
 */
#ifndef SIGNET_BASE_LOG_H
#define SIGNET_BASE_LOG_H

enum log_level { LOG_LEVEL_DEBUG = 0, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* Once, before threads start. */
void log_open(const char *service, const char *instance, enum log_level least);

/* `step` is a short name of the occurrence ("bus.reconnected"), then pairs of key and value, closed by NULL. */
void log_line(enum log_level level, const char *step, ...) __attribute__((sentinel));

struct request;
/* The line of a request; called by request_end. */
void log_request(enum log_level level, const struct request *rq, const char *result);

#endif
