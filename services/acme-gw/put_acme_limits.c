/* Checks and writes a set of rate limits. In force everywhere a moment later. */
#include "acme.h"

#define COUNT_MAX 1000000000
#define PERIOD_MAX_S (366 * 86400)
#define HOUR_S 3600
#define WEEK_S 604800

static enum error
check(struct request *rq, const char *rule, uint32_t count, uint32_t *period_s, uint32_t usual_s)
{
    if (count > COUNT_MAX || *period_s > PERIOD_MAX_S)
        return fail(rq, ERR_BAD_REQUEST, "%s: at most %d in at most %d s", rule, COUNT_MAX, PERIOD_MAX_S);
    if (*period_s == 0)
        *period_s = usual_s;
    return OK;
}

struct put {
    const struct acme *acme;
    const Pb__AcmeLimits *limits, *read;
    bool must_be_new;
    bool created;
};

static enum error
write_limits(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct put *put = context;
    struct acme within = acme_within(put->acme, db);
    Pb__AcmeLimits **before;
    size_t count;

    enum error error = store_list_limits(&within, rq, put->limits->name, &before, &count);
    if (!error && put->must_be_new && count > 0)
        error = fail(rq, ERR_CONFLICT, "there are limits \"%s\" already: look and try again", put->limits->name);
    if (!error && put->read != NULL)
        error = configuration_check_read(rq, change, &put->read->base, count == 0 ? NULL : &before[0]->base);
    if (!error)
        error = store_write_limits(&within, rq, put->limits, &put->created);
    if (error)
        return error;
    if (count > 0 && configuration_compare(rq->arena, &before[0]->base, &put->limits->base, &(char **){NULL}) == 0)
        return OK;
    change->action = count == 0 ? "created" : "changed";
    change->before = count == 0 ? NULL : &before[0]->base;
    change->after = &put->limits->base;
    return OK;
}

enum error
put_acme_limits(struct acme *acme, struct request *rq, const Pb__PutAcmeLimitsRequest *input, Pb__PutAcmeLimitsReply *ret_reply)
{
    struct configuration_change change = {.what = "acme limits", .by = input->operator_};

    if (input->limits == NULL)
        return fail(rq, ERR_BAD_REQUEST, "limits is missing");
    Pb__AcmeLimits limits = *input->limits;
    struct put put = {.acme = acme, .limits = &limits, .read = input->read, .must_be_new = input->must_be_new};
    change.name = limits.name;
    request_note(rq, "limits", "%.40s", limits.name);
    enum error error = policy_name_check(rq, limits.name);
    if (!error)
        error = check(rq, "new accounts", limits.new_accounts_per_address, &limits.new_accounts_period_s, HOUR_S);
    if (!error)
        error = check(rq, "new orders", limits.new_orders_per_account, &limits.new_orders_period_s, HOUR_S);
    if (!error)
        error = check(rq, "failed authorizations", limits.failed_authorizations_per_name, &limits.failed_authorizations_period_s, HOUR_S);
    if (!error)
        error = check(rq, "certificates", limits.certificates_per_domain, &limits.certificates_period_s, WEEK_S);
    if (!error && limits.failures_before_pause > COUNT_MAX)
        error = fail(rq, ERR_BAD_REQUEST, "failures_before_pause is at most %d", COUNT_MAX);
    if (!error)
        error = configuration_write(acme->outbox, acme->db, rq, write_limits, &put, &change);
    if (error)
        return error;
    ret_reply->created = put.created;
    ret_reply->changed = change.action != NULL;
    return OK;
}
