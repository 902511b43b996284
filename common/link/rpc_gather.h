/*
 * Calls of one rpc that come at the same moment travel in one message, and so do their answers: under load a message costs more than what it asks
 * for.
 *
 *     gather = rpc_gather_new(bus, &pb__ra__descriptor, "Enroll");
 *     error = RPC_CALL_GATHERED(gather, rq, Enroll, &request, &reply);   from any thread, else as RPC_CALL
 *
 * Who comes while few calls are under way waits for nobody. Under load calls wait for others for some milliseconds, the more the more are under way.
 * Each call has its own trace, deadline and outcome, but hears of it when all of its message have theirs: this is for rpcs whose callees do such
 * calls together, or soon. What does not fit, and what a callee cannot take together, goes alone.
 *
 * Errors: those of RPC_CALL. Owner: rpc_gather_free when nobody calls. Threads: any.
 */
#ifndef SIGNET_LINK_RPC_GATHER_H
#define SIGNET_LINK_RPC_GATHER_H

#include "link/rpc.h"

struct rpc_gather;

struct rpc_gather *rpc_gather_new(struct bus *bus, const ProtobufCServiceDescriptor *callee, const char *method);
void rpc_gather_free(struct rpc_gather *gather);
DEFINE_AUTO_STRUCT(rpc_gather, rpc_gather_free);

enum error rpc_call_gathered(struct rpc_gather *gather, struct request *rq, const ProtobufCMessageDescriptor *type, const ProtobufCMessage *input,
                             const ProtobufCMessage **ret_reply) MUST_CHECK;

/* A call that is there already, and not alone. */
struct rpc_part {
    struct request *rq;
    const ProtobufCMessage *input;
    enum error error;              /* recorded in rq */
    const ProtobufCMessage *reply; /* in rq's arena */
};
/* Calls that wait for nobody else; one is as rpc_call. A part that comes back without error and reply was not carried out: it has to go alone. */
void rpc_call_together(struct bus *bus, const ProtobufCServiceDescriptor *callee, const char *method, struct rpc_part *parts, size_t count);

#define RPC_CALL_GATHERED(gather, rq, method, input, ret_reply)                                                          \
    rpc_call_gathered((gather), (rq), (input)->base.descriptor, &(1 ? (input) : (const Pb__##method##Request *)0)->base, \
                      (const ProtobufCMessage **)(1 ? (ret_reply) : (const Pb__##method##Reply **)0))

#endif
