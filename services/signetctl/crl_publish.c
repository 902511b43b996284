/* crl publish: a new CRL now, instead of at the next turn of the schedule. */
#include "signet/v1/crl_publisher.pb-c.h"
#include "signetctl.h"

enum error
crl_publish(struct ctl *ctl, struct request *rq)
{
    Pb__PublishCrlRequest request = PB__PUBLISH_CRL_REQUEST__INIT;
    const Pb__PublishCrlReply *reply;

    request.issuer = argument_or(ctl, "issuer", "");
    enum error error = check_ca_name(ctl, rq, "--issuer", request.issuer);
    if (!error)
        error = CTL_CALL(ctl, rq, crl_publisher, PublishCrl, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "%u published\n", reply->published);
}
