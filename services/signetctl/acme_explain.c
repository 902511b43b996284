/* acme explain: why an order is where it is, on one screen. */
#include "base/clock.h"
#include "base/text.h"
#include "signetctl.h"

static const char *
time_or_null(struct arena *arena, int64_t time_s)
{
    return time_s == 0 ? NULL : clock_format_rfc3339(arena, time_s);
}

static const char *
text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void
print_order(struct arena *arena, const Pb__ExplainOrderReply *order)
{
    const Pb__AutoRenewal *renewal = order->auto_renewal;
    const char *const facts[][2] = {
        {"order", order->order},
        {"status", order->status},
        {"why", order->why},
        {"next", text_or_null(order->next)},
        {"account", arena_format(arena, "%s (%s)", order->account, order->account_status)},
        {"policy", order->policy},
        {"profile", text_or_null(order->profile)},
        {"replaces", text_or_null(order->replaces)},
        {"client", order->client_address},
        {"created", clock_format_rfc3339(arena, order->created_at_s)},
        {"expires", clock_format_rfc3339(arena, order->expires_at_s)},
        {"finalized", time_or_null(arena, order->finalized_at_s)},
        {"attempts", order->finalized_at_s == 0 ? NULL : arena_format(arena, "%d", order->attempts)},
        {"next attempt", time_or_null(arena, order->next_attempt_at_s)},
        {"held by", text_or_null(order->lease_holder)},
        {"held until", time_or_null(arena, order->lease_ends_at_s)},
        {"auto-renewal", renewal == NULL ? NULL : renewal->wishes},
        {"renewals", renewal == NULL ? NULL : arena_format(arena, "%u", renewal->renewals)},
        {"next renewal", renewal == NULL ? NULL : time_or_null(arena, renewal->next_at_s)},
        {"its attempts", renewal == NULL || renewal->attempts == 0 ? NULL : arena_format(arena, "%d", renewal->attempts)},
        {"serial", order->serial.len == 0 ? NULL : bytes_hex(arena, message_bytes(order->serial), 0)},
    };

    table_facts(stdout, facts, sizeof(facts) / sizeof(facts[0]));
}

static void
print_authorizations(struct arena *arena, const Pb__ExplainOrderReply *order)
{
    static const char *const heads[] = {"NAME", "STATUS", "CHALLENGE", "ITS STATUS", "ATTEMPTS", "NEXT ATTEMPT", "HELD BY", "PROBLEM"};
    struct table *table = table_new(arena, heads, sizeof(heads) / sizeof(heads[0]));

    for (size_t i = 0; i < order->n_authorizations; i++) {
        const Pb__OrderAuthorization *one = order->authorizations[i];
        AUTO(json_t, problem) = json_loads(one->problem, 0, NULL);
        const char *detail = json_string_value(json_object_get(problem, "detail"));
        const char *const cells[] = {one->name,
                                     one->status,
                                     one->challenge,
                                     one->challenge_status,
                                     arena_format(arena, "%d", one->attempts),
                                     one->next_attempt_at_s == 0 ? "" : clock_format_rfc3339(arena, one->next_attempt_at_s),
                                     one->lease_holder,
                                     detail == NULL ? "" : arena_text(arena, detail)};
        table_row(table, cells);
    }
    printf("\n");
    table_print(table, stdout);
}

enum error
acme_explain(struct ctl *ctl, struct request *rq)
{
    Pb__ExplainOrderRequest request = PB__EXPLAIN_ORDER_REQUEST__INIT;
    const Pb__ExplainOrderReply *reply;

    request.order = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, acme_admin, ExplainOrder, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    print_order(rq->arena, reply);
    print_authorizations(rq->arena, reply);
    return OK;
}
