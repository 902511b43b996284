/* rpc ListPending: what waits for an operator, oldest first. */
#include "ra.h"

#include "pki/name.h"

#define PENDING_MOST 500

static Pb__PendingEnrollment *
describe(struct request *rq, const struct waiting *waiting)
{
    const Pb__CertificateIntent *plan =
        (const Pb__CertificateIntent *)message_unpack(rq->arena, &pb__certificate_intent__descriptor, waiting->packed);
    Pb__PendingEnrollment *pending = arena_alloc(rq->arena, sizeof *pending);

    pb__pending_enrollment__init(pending);
    pending->intent_id = message_data(waiting->id);
    pending->channel = waiting->channel;
    pending->principal = arena_format(rq->arena, "%s:%s", waiting->principal_kind, waiting->principal_id);
    pending->client_address = waiting->client_address;
    pending->created_at_s = waiting->created_at_s;
    if (plan == NULL)
        return pending;
    pending->template_ = plan->template_;
    pending->issuer = plan->issuer;
    pending->subject = name_format(rq->arena, message_bytes(plan->subject));
    pending->names = plan->names;
    pending->n_names = plan->n_names;
    return pending;
}

enum error
list_pending(struct ra *ra, struct request *rq, const Pb__ListPendingRequest *request, Pb__ListPendingReply *ret_reply)
{
    struct waiting *waiting;
    size_t count;
    enum error error = store_list_pending(ra, rq, PENDING_MOST, &waiting, &count);

    if (error)
        return error;
    ret_reply->enrollments = arena_array(rq->arena, count, sizeof *ret_reply->enrollments);
    for (size_t i = 0; i < count; i++)
        ret_reply->enrollments[ret_reply->n_enrollments++] = describe(rq, &waiting[i]);
    return OK;
}
