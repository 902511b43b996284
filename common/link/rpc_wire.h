/*
 * How a call looks on the bus: its subject and its headers. Shared by the two ends, rpc_post.c and rpc_serve.c, and known to nobody else.
 *
 * A reply with HEADER_ERROR is a refusal and has no body; any other reply is the packed message, without headers. Calls that travel together are a
 * CallBundle (call.proto), marked by HEADER_BUNDLE, and so are their answers.
 */
#ifndef SIGNET_LINK_RPC_WIRE_H
#define SIGNET_LINK_RPC_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/bytes.h"
#include "base/request.h"
#include "link/bus_nats.h"

/* On requests. */
#define HEADER_TRACE "traceparent"           /* W3C Trace Context */
#define HEADER_DEADLINE "Signet-Deadline-Ms" /* what is left of the caller's time */

#define HEADER_BUNDLE "Signet-Bundle"

/* On refusals. */
#define HEADER_ERROR "Signet-Error" /* error_name */
#define HEADER_MESSAGE "Signet-Message"
#define HEADER_LAYER "Signet-Layer"
#define HEADER_REASON "Signet-Reason"
#define HEADER_RETRY_AFTER "Signet-Retry-After" /* seconds */

#define RPC_BUNDLE_MOST 50 /* calls in one message */

#define RPC_DEADLINE_MOST_MS (10 * 60 * 1000)
#define RPC_RETRY_AFTER_MOST_S (24 * 60 * 60)

/* "AcmeGw" and '-': "acme-gw"; "DropAnswers" and '_': "drop_answers". */
char *rpc_split_words(struct arena *arena, const char *camel_case, char separator);

/* "signet.acme-gw" with the suffix of the instance group. */
char *rpc_subject_of_service(struct arena *arena, const ProtobufCServiceDescriptor *service, const char *suffix);

/* "signet.acme-gw.redeem_nonce" */
char *rpc_subject_of_method(struct arena *arena, const ProtobufCServiceDescriptor *service, const char *suffix, const char *method);
/* "signet.acme-gw.redeem_nonce.acme-gw": the last word says who calls, and the bus lets nobody say another name than his own. */
char *rpc_subject_of_call(struct arena *arena, const char *method_subject, const char *caller);
/* That last word; valid as long as the subject. */
const char *rpc_caller_of_subject(const char *subject);

/* Of the contract, which has it. */
const ProtobufCMethodDescriptor *rpc_method(const ProtobufCServiceDescriptor *service, const char *name);

struct rpc_letter {
    const char *subject;
    struct bytes body;
    bool is_bundle;
    const ProtobufCMessageDescriptor *reply_type;
};

/* Sends it, again where that may help, and waits for the answer. */
enum error rpc_post(struct bus *bus, struct request *rq, const struct rpc_letter *letter, const ProtobufCMessage **ret_reply) MUST_CHECK;

/* Puts down what a callee refused, as if it had happened here. */
enum error rpc_fail_as_told(struct request *rq, const char *error, const char *message, const char *layer, const char *reason, int retry_after_s);

/* A header's value, or "" when it is not there. Valid as long as the message. */
const char *rpc_header(natsMsg *message, const char *name);

/* Sets a header to the value with everything that would end a header line replaced by blanks; nothing for "". */
natsStatus rpc_set_header(struct arena *arena, natsMsg *message, const char *name, const char *value);

#endif
