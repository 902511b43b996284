/*
 * How a call looks on the bus: its subject and its headers. Shared by the two ends, rpc_call.c and rpc_serve.c, and known to nobody else.
 *
 * A reply with HEADER_ERROR is a refusal and has no body; any other reply is the packed message, without headers.
 */
#ifndef SIGNET_LINK_RPC_WIRE_H
#define SIGNET_LINK_RPC_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/request.h"
#include "link/bus_nats.h"

/* On requests. */
#define HEADER_TRACE "traceparent"           /* W3C Trace Context */
#define HEADER_DEADLINE "Signet-Deadline-Ms" /* what is left of the caller's time */
#define HEADER_CALLER "Signet-Caller"        /* for the log only: who may call is decided by the server's permissions */

/* On refusals. */
#define HEADER_ERROR "Signet-Error" /* error_name */
#define HEADER_MESSAGE "Signet-Message"
#define HEADER_LAYER "Signet-Layer"
#define HEADER_REASON "Signet-Reason"
#define HEADER_RETRY_AFTER "Signet-Retry-After" /* seconds */

#define RPC_DEADLINE_MOST_MS (10 * 60 * 1000)
#define RPC_RETRY_AFTER_MOST_S (24 * 60 * 60)

/* "AcmeGw" and '-': "acme-gw"; "DropAnswers" and '_': "drop_answers". */
char *rpc_split_words(struct arena *arena, const char *camel_case, char separator);

/* "signet.acme-gw" with the suffix of the instance group. */
char *rpc_subject_of_service(struct arena *arena, const ProtobufCServiceDescriptor *service, const char *suffix);

/* A header's value, or "" when it is not there. Valid as long as the message. */
const char *rpc_header(natsMsg *message, const char *name);

/* Sets a header to the value with everything that would end a header line replaced by blanks; nothing for "". */
natsStatus rpc_set_header(struct arena *arena, natsMsg *message, const char *name, const char *value);

#endif
