/* The rpcs of ra.proto on the bus. A handler that is missing or has the wrong form does not compile. */
#include "ra.h"

/* <unistd.h> has a function of this name, so the handler itself has a longer one. */
static enum error
revoke(struct ra *ra, struct request *rq, const Pb__RevokeRequest *request, Pb__RevokeReply *ret_reply)
{
    return revoke_certificate(ra, rq, request, ret_reply);
}

RPC_HANDLER(Ra, Enroll, enroll)
RPC_HANDLER(Ra, Revoke, revoke)
RPC_HANDLER(Ra, Withdraw, withdraw)
RPC_HANDLER(Ra, Explain, explain)
RPC_HANDLER(Ra, Approve, approve)
RPC_HANDLER(Ra, ListPending, list_pending)

enum error
handlers_serve(struct ra *ra, struct request *rq)
{
    static Pb__Ra_Service table = PB__RA__INIT(serve_);

    return rpc_serve(ra->bus, rq, &table.base, ra, &(struct rpc_options){.threads = ra->config.workers, .queue_limit = ra->config.queue_limit});
}
