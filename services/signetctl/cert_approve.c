/* cert pending, approve, deny: the enrolments that wait for a person. */
#include "base/clock.h"
#include "base/text.h"
#include "link/rpc.h"
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

enum error
cert_pending(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"INTENT", "SINCE", "CHANNEL", "TEMPLATE", "PRINCIPAL", "CLIENT", "SUBJECT", "NAMES"};
    Pb__ListPendingRequest request = PB__LIST_PENDING_REQUEST__INIT;
    const Pb__ListPendingReply *reply;
    enum error error = ctl_bus(ctl, rq);

    if (!error)
        error = RPC_CALL(ctl->bus, rq, ra, ListPending, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    struct table *table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (size_t i = 0; i < reply->n_enrollments; i++) {
        const Pb__PendingEnrollment *pending = reply->enrollments[i];
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
    table_print(table, stdout);
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
    error = RPC_CALL(ctl->bus, rq, ra, Approve, &request, &reply);
    if (error)
        return error;
    if (ctl->json)
        return json_print(message_json(rq->arena, &reply->base)), OK;
    puts(reply->approved ? "approved: it is issued when the device asks again, or in a moment" : "denied");
    return OK;
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
