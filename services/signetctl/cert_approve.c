/* cert pending, approve, deny: the enrolments that wait for a person. */
#include "base/clock.h"
#include "base/text.h"
#include "signet/v1/ra.pb-c.h"
#include "signetctl.h"

static const char *
names_text(struct arena *arena, const Pb__PendingEnrollment *pending)
{
    struct buffer text = buffer_in(arena);

    for (size_t i = 0; i < pending->n_names; i++)
        buffer_append_format(&text, "%s%s", i > 0 ? "," : "", pending->names[i]->value);
    return buffer_text(&text);
}

static void
add_pending(struct request *rq, struct table *table, const void *element)
{
    const Pb__PendingEnrollment *pending = element;
    const char *const cells[] = {bytes_hex(rq->arena, message_bytes(pending->intent_id), 0),
                                 clock_format_rfc3339(rq->arena, pending->created_at_s),
                                 pending->channel,
                                 pending->template_,
                                 pending->principal,
                                 pending->client_address,
                                 pending->subject,
                                 names_text(rq->arena, pending)};
    table_row(table, cells);
}

static const struct listing waiting = {.heads = {"INTENT", "SINCE", "CHANNEL", "TEMPLATE", "PRINCIPAL", "CLIENT", "SUBJECT", "NAMES"},
                                       .add_row = add_pending};

enum error
cert_pending(struct ctl *ctl, struct request *rq)
{
    Pb__ListPendingRequest request = PB__LIST_PENDING_REQUEST__INIT;
    const Pb__ListPendingReply *reply;
    enum error error = CTL_CALL(ctl, rq, ra, ListPending, &request, &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &waiting, (const void *const *)reply->enrollments, reply->n_enrollments);
    return OK;
}

static enum error
decide(struct ctl *ctl, struct request *rq, bool deny)
{
    Pb__ApproveRequest request = PB__APPROVE_REQUEST__INIT;
    const Pb__ApproveReply *reply;
    struct bytes id;
    enum error error = ctl_bus(ctl, rq);

    if (!error && !bytes_from_hex(rq->arena, ctl->arguments.words[0], &id))
        error = argument_refused(rq, "an enrolment is named by the hexadecimal text that signetctl cert pending shows");
    if (error)
        return error;
    request.intent_id = message_data(id);
    request.deny = deny;
    request.reason = argument_or(ctl, "reason", "");
    request.operator_ = operator_name(rq->arena);
    error = CTL_CALL(ctl, rq, ra, Approve, &request, &reply);
    return error ? error
                 : answer(ctl, rq, &reply->base, "%s\n",
                          reply->approved ? "approved: it is issued when the device asks again, or in a moment" : "denied");
}

enum error
cert_approve(struct ctl *ctl, struct request *rq)
{
    return decide(ctl, rq, false);
}

enum error
cert_deny(struct ctl *ctl, struct request *rq)
{
    return decide(ctl, rq, true);
}
