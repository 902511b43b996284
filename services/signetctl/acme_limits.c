/* acme limits list, show, set, delete; acme resume: rate limits, and names that ran into them. */
#include "signetctl.h"

static enum error
ask(struct ctl *ctl, struct request *rq, const char *name, const Pb__ListAcmeLimitsReply **ret_reply)
{
    Pb__ListAcmeLimitsRequest request = PB__LIST_ACME_LIMITS_REQUEST__INIT;

    request.name = name;
    return CTL_CALL(ctl, rq, acme_admin, ListAcmeLimits, &request, ret_reply);
}

static const char *
rule_text(struct arena *arena, uint32_t count, uint32_t period_s)
{
    return count == 0 ? "" : arena_format(arena, "%u in %u s", count, period_s);
}

static void
add_limits(struct request *rq, struct table *table, const void *element)
{
    const Pb__AcmeLimits *limits = element;
    const char *const cells[] = {
        limits->name,
        rule_text(rq->arena, limits->new_accounts_per_address, limits->new_accounts_period_s),
        rule_text(rq->arena, limits->new_orders_per_account, limits->new_orders_period_s),
        rule_text(rq->arena, limits->failed_authorizations_per_name, limits->failed_authorizations_period_s),
        rule_text(rq->arena, limits->certificates_per_domain, limits->certificates_period_s),
        limits->failures_before_pause ? arena_format(rq->arena, "%u", limits->failures_before_pause) : "",
    };
    table_row(table, cells);
}

static const struct listing limit_sets = {
    .heads = {"NAME", "ACCOUNTS/ADDRESS", "ORDERS/ACCOUNT", "FAILURES/NAME", "CERTIFICATES/DOMAIN", "PAUSE AFTER"}, .add_row = add_limits};

enum error
acme_limits_list(struct ctl *ctl, struct request *rq)
{
    const Pb__ListAcmeLimitsReply *reply;
    enum error error = ask(ctl, rq, "", &reply);

    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &limit_sets, (const void *const *)reply->limits, reply->n_limits);
    return OK;
}

enum error
acme_limits_show(struct ctl *ctl, struct request *rq)
{
    const Pb__ListAcmeLimitsReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &reply);

    if (error)
        return error;
    if (reply->n_limits == 0)
        return fail(rq, ERR_NOT_FOUND, "there are no limits named \"%s\": see signetctl acme limits list", ctl->arguments.words[0]);
    return yaml_show(ctl, rq, &reply->limits[0]->base, &reply->limits[0]->base);
}

/* A set that is not there yet begins without limits. */
enum error
acme_limits_set(struct ctl *ctl, struct request *rq)
{
    Pb__PutAcmeLimitsRequest request = PB__PUT_ACME_LIMITS_REQUEST__INIT;
    Pb__AcmeLimits fresh = PB__ACME_LIMITS__INIT;
    const Pb__ListAcmeLimitsReply *found;
    const Pb__PutAcmeLimitsReply *reply;
    enum error error = ask(ctl, rq, ctl->arguments.words[0], &found);

    if (error)
        return error;
    fresh.name = ctl->arguments.words[0];
    request.operator_ = operator_name(rq->arena);
    request.limits = found->n_limits > 0 ? found->limits[0] : &fresh;
    Pb__AcmeLimits read = *request.limits;
    request.read = found->n_limits > 0 ? &read : NULL;
    request.must_be_new = found->n_limits == 0;
    error = message_from_options(ctl, rq, &request.limits->base);
    if (!error)
        error = CTL_CALL(ctl, rq, acme_admin, PutAcmeLimits, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "limits %s: %s\n", request.limits->name, put_word(reply->created, reply->changed));
}

enum error
acme_limits_delete(struct ctl *ctl, struct request *rq)
{
    Pb__DeleteAcmeLimitsRequest request = PB__DELETE_ACME_LIMITS_REQUEST__INIT;
    const Pb__DeleteAcmeLimitsReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, acme_admin, DeleteAcmeLimits, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "limits %s: deleted\n", request.name);
}

enum error
acme_resume(struct ctl *ctl, struct request *rq)
{
    Pb__ResumeNameRequest request = PB__RESUME_NAME_REQUEST__INIT;
    const Pb__ResumeNameReply *reply;

    request.operator_ = operator_name(rq->arena);
    request.name = ctl->arguments.words[0];
    request.account_id = argument_or(ctl, "account", "");
    enum error error = CTL_CALL(ctl, rq, acme_admin, ResumeName, &request, &reply);
    return error ? error : answer(ctl, rq, &reply->base, "%s: resumed for %u accounts\n", request.name, reply->resumed);
}
