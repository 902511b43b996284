/* crl publish: a new CRL now, instead of at the next turn of the schedule. */
#include "link/rpc.h"
#include "signet/v1/crl_publisher.pb-c.h"
#include "signetctl.h"

enum error
crl_publish(struct ctl *ctl, struct request *rq)
{
    Pb__PublishCrlRequest request = PB__PUBLISH_CRL_REQUEST__INIT;
    const Pb__PublishCrlReply *reply;
    enum error error = ctl_bus(ctl, rq);

    if (error)
        return error;
    request.issuer = argument_or(ctl, "issuer", "");
    error = RPC_CALL(ctl->bus, rq, crl_publisher, PublishCrl, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    printf("%u published\n", reply->published);
    return OK;
}
