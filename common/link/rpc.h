/*
 * Typed calls over the bus, from protobuf service blocks.
 *
 * The subject is signet.<service>.<method>.<caller>: `service Ra { rpc Enroll(EnrollRequest) returns (EnrollReply); }` in ra.proto is
 * signet.ra.enroll.acme-gw when acme-gw calls; `service CrlPublisher {rpc PublishCrl…}` is signet.crl-publisher.publish_crl.signetctl. The bus lets
 * nobody publish under another's name, so that rq->caller is whose certificate it was. Replies come back with either a body or a typed error in
 * headers; the deadline and the trace travel in headers too. Only this layer sets and reads them.
 *
 * Calling:
 *
 *     Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
 *     const Pb__EnrollReply *reply;
 *     enum error error = RPC_CALL(bus, rq, ra, Enroll, &request, &reply);      // wrong types do not compile
 *
 * The reply lives in rq's arena. No responder, or no connection, is ERR_UNAVAILABLE with retry_after_s (tried again with back-off
 * inside the deadline first, 2 s at most). No answer in time, or a connection that broke while the answer was awaited and no second attempt came
 * through, is ERR_TIMEOUT: repeat with the same idempotency key. A remote failure arrives with its kind,
 * message, layer and retry_after_s, recorded in rq as if it had happened here.
 *
 * Serving: one adapter per method, and protobuf-c's generated table, so that a missing or wrong handler does not compile:
 *
 *     // adapts: enum error enroll(struct ra *, struct request *, const Pb__EnrollRequest *, Pb__EnrollReply *ret_reply)
 *     RPC_HANDLER(Ra, Enroll, enroll)
 *     RPC_HANDLER(Ra, Revoke, revoke)
 *     static Pb__Ra_Service table = PB__RA__INIT(serve_);
 *     rpc_serve(bus, rq, &table.base, ra, &(struct rpc_options){.threads = 8, .queue_limit = 256});
 *
 * Handlers run on a bounded worker pool; a full pool answers ERR_BUSY, a request whose deadline has passed is dropped. What the reply
 * points at must live in rq's arena or be static.
 */
#ifndef SIGNET_LINK_RPC_H
#define SIGNET_LINK_RPC_H

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "link/bus.h"

#define RPC_BODY_MAX (1024 * 1024 - 4096)

struct rpc_options {
    int threads;
    int queue_limit;
    const char *subject_suffix; /* appended to the service part: "" usually, else with its dot (".k3x9"): a replica, a perspective, an agent */
    bool every_instance;        /* each instance answers each request, for rpc_survey; otherwise one of them does */
};

enum error rpc_serve(struct bus *bus, struct request *rq, ProtobufCService *table, void *context, const struct rpc_options *options) MUST_CHECK;

/* Default deadline of a call when rq has none. */
#define RPC_DEADLINE_MS 10000

enum error rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
                    const ProtobufCMessage *input, const ProtobufCMessage **ret_reply) MUST_CHECK;

#define RPC_CALL(bus, rq, service, method, input, ret_reply) RPC_CALL_AT(bus, rq, service, "", method, input, ret_reply)

/* The same, to the instance group with this suffix. */
#define RPC_CALL_AT(bus, rq, service, suffix, method, input, ret_reply)                                                             \
    rpc_call((bus), (rq), &pb__##service##__descriptor, (suffix), #method, &(1 ? (input) : (const Pb__##method##Request *)0)->base, \
             (const ProtobufCMessage **)(1 ? (ret_reply) : (const Pb__##method##Reply **)0))

/* What the adapters use. */
struct rpc_incoming;
struct request *rpc_incoming_request(void *incoming);
void *rpc_incoming_context(void *incoming);
void rpc_incoming_answer(void *incoming, enum error error, const ProtobufCMessage *reply);

#define RPC_HANDLER(Service, Method, method)                                                                                               \
    static void serve_##method(Pb__##Service##_Service *table, const Pb__##Method##Request *input, Pb__##Method##Reply_Closure closure,    \
                               void *incoming)                                                                                             \
    {                                                                                                                                      \
        Pb__##Method##Reply reply;                                                                                                         \
        (void)table;                                                                                                                       \
        (void)closure;                                                                                                                     \
        pb__##method##_reply__init(&reply);                                                                                                \
        rpc_incoming_answer(incoming, method(rpc_incoming_context(incoming), rpc_incoming_request(incoming), input, &reply), &reply.base); \
    }

/* Asks every instance of every service at once and collects the answers that come within `wait_ms` (signetctl status). */
enum error rpc_survey(struct bus *bus, struct request *rq, const char *subject, const ProtobufCMessage *input,
                      const ProtobufCMessageDescriptor *reply_type, int wait_ms, size_t *ret_count, const ProtobufCMessage ***ret_replies) MUST_CHECK;

#endif
