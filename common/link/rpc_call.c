/* One call in a message of its own. Handlers come here through RPC_CALL; tests put their own in its place. */
#include <stdlib.h>

#include "link/message.h"
#include "link/rpc.h"
#include "link/rpc_wire.h"

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method_name,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    const struct rpc_letter letter = {.subject = rpc_subject_of_method(rq->arena, callee, subject_suffix, method_name),
                                      .body = message_pack(rq->arena, input),
                                      .reply_type = rpc_method(callee, method_name)->output};

    return rpc_post(bus, rq, &letter, ret_reply);
}
