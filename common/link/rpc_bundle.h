/*
 * The answering end's view of calls that came in one message (call.proto): each is worked on by itself, and their answers leave together when the
 * last of them is there. Used by rpc_serve.c. Threads: any.
 */
#ifndef SIGNET_LINK_RPC_BUNDLE_H
#define SIGNET_LINK_RPC_BUNDLE_H

#include "base/bytes.h"
#include "base/request.h"
#include "signet/v1/call.pb-c.h"

struct rpc_bundle;

/* NULL: the octets are no bundle of 1 to RPC_BUNDLE_MOST calls. Until it is answered, a call has run out of time. */
struct rpc_bundle *rpc_bundle_open(struct bytes body);
size_t rpc_bundle_count(const struct rpc_bundle *bundle);
const Pb__Call *rpc_bundle_call(const struct rpc_bundle *bundle, size_t call);
void rpc_bundle_answer(struct rpc_bundle *bundle, size_t call, struct bytes body);
/* Keys pass through an answer: what is kept of all of them is wiped. */
void rpc_bundle_keep_secret(struct rpc_bundle *bundle);
void rpc_bundle_refuse(struct rpc_bundle *bundle, size_t call, enum error error, const struct failure *failure);
/* One call has come to its end. True: it was the last, and this is what to send before rpc_bundle_close. */
bool rpc_bundle_end_call(struct rpc_bundle *bundle, struct bytes *ret_body);
void rpc_bundle_close(struct rpc_bundle *bundle);

#endif
