/* ca successor: prepares a rollover. Clients of SCEP are told of it at once; a profile changes over when its issuer is set to the successor. */
#include "base/text.h"
#include "signetctl.h"

enum error
ca_successor(struct ctl *ctl, struct request *rq)
{
    Pb__NameSuccessorRequest request = PB__NAME_SUCCESSOR_REQUEST__INIT;
    const char *to = argument_or(ctl, "to", "");
    bool cancel = argument(ctl, "cancel") != NULL;
    const Pb__NameSuccessorReply *reply;

    if (text_is_empty(to) == !cancel)
        return argument_refused(rq, "either --to CA or --cancel is needed");
    request.name = ctl->arguments.words[0];
    request.successor = to;
    request.operator_ = operator_name(rq->arena);
    enum error error = check_ca_name(ctl, rq, "NAME", request.name);
    if (!error)
        error = check_ca_name(ctl, rq, "--to", to);
    if (!error)
        error = CTL_CALL(ctl, rq, signer, NameSuccessor, &request, &reply);
    if (error)
        return error;
    const char *successor = text_is_empty(reply->ca->successor) ? "no CA" : reply->ca->successor;
    return answer(ctl, rq, &reply->ca->base, "CA %s is to be succeeded by %s\n", reply->ca->name, successor);
}
