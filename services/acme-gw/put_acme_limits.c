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

enum error
put_acme_limits(struct acme *acme, struct request *rq, const Pb__PutAcmeLimitsRequest *input, Pb__PutAcmeLimitsReply *ret_reply)
{
    bool created = false;

    if (input->limits == NULL)
        return fail(rq, ERR_BAD_REQUEST, "limits is missing");
    Pb__AcmeLimits limits = *input->limits;
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
        error = store_write_limits(acme, rq, &limits, &created);
    if (!error)
        ret_reply->created = created;
    return error;
}
