/*
 * CAA before a certificate is issued (RFC 8659 §3), for the names whose records no validation has looked at lately: those that were proven some hours
 * ago, for whoever owns them may have changed his mind, and those that the policy approves beforehand. These need no proof, but what their owner
 * forbids in the DNS is forbidden.
 */
#include "acme.h"

#include "base/clock.h"

#define CAA_REUSE_S (7 * 3600) /* the CA/Browser Forum allows 8 h */
#define CAA_MS 8000            /* within FINALIZATION_WORK_S, with ra's time */

static enum error
ask_validator(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding)
{
    const Pb__CheckCaaReply *reply;

    enum error error = RPC_CALL_AT(acme->bus, rq, validator, suffix, CheckCaa, (const Pb__CheckCaaRequest *)input, &reply);
    if (error)
        return error;
    const char *name = reply->name == NULL ? "" : reply->name->value;
    *ret_finding =
        (struct finding){.holds = reply->allowed, .problem = reply->problem, .detail = arena_format(rq->arena, "%s: %s", name, reply->detail)};
    return OK;
}

static enum error
ask(struct acme *acme, struct request *rq, const struct order *order, const struct proven_name *names, size_t count)
{
    Pb__CheckCaaRequest input = PB__CHECK_CAA_REQUEST__INIT;
    Pb__CaaSubject *subjects = arena_array(rq->arena, count, sizeof *subjects);
    Pb__Name *subject_names = arena_array(rq->arena, count, sizeof *subject_names);
    int64_t deadline_ms = rq->deadline_ms;
    struct finding finding;

    input.subjects = arena_array(rq->arena, count, sizeof *input.subjects);
    input.n_subjects = count;
    for (size_t i = 0; i < count; i++) {
        pb__name__init(&subject_names[i]);
        subject_names[i].type = (Pb__NameType)names[i].name.type;
        subject_names[i].value = names[i].name.value;
        pb__caa_subject__init(&subjects[i]);
        subjects[i].name = &subject_names[i];
        subjects[i].method = names[i].method;
        input.subjects[i] = &subjects[i];
    }
    input.issuer_names = (const char **)issuer_names(acme, rq->arena, &input.n_issuer_names);
    input.account_uri = acme_url(acme, rq->arena, "account", order->account_id);
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, CAA_MS);
    enum error error = perspectives_ask(acme, rq, ask_validator, &input, &finding);
    rq->deadline_ms = deadline_ms;
    if (error)
        return error;
    return finding.holds ? OK : refuse(rq, ERR_DENIED, finding.problem, "%s", finding.detail);
}

/* RFC 8657 §4: what no ACME challenge has proven has a name of the CA's own. */
static const char preapproved_method[] = "ca-preapproved";

static struct proven_name *
with_preapproved(struct arena *arena, const struct order *order, const struct proven_name *proven, size_t *count)
{
    struct proven_name *names = arena_array(arena, *count + order->preapproved_count, sizeof *names);

    for (size_t i = 0; i < *count; i++)
        names[i] = proven[i];
    for (size_t i = 0; i < order->preapproved_count; i++)
        names[(*count)++] = (struct proven_name){.name = name_from_column(arena, order->preapproved[i]), .method = preapproved_method};
    return names;
}

enum error
caa_recheck(struct acme *acme, struct request *rq, const struct order *order)
{
    const struct policy *policy;
    struct proven_name *names;
    size_t count;

    enum error error = policy_load(acme, rq, order->policy, &policy);
    if (error || !policy->caa)
        return error;
    error = store_load_old_proofs(acme, rq, order, CAA_REUSE_S, &names, &count);
    if (error)
        return error;
    names = with_preapproved(rq->arena, order, names, &count);
    if (count == 0)
        return OK;
    request_note(rq, "caa", "%zu names", count);
    return ask(acme, rq, order, names, count);
}
