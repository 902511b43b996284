/*
 * CAA once more, for names that were proven some time ago. Called by acme-gw when an order is finalized late; the answer is a fact, and an error is
 * returned only when there is none.
 */
#include "validator.h"

#include "base/clock.h"

/* Less than validator.proto gives, so that the answer still arrives. */
#define TOTAL_MS 18000

static enum error
check_one(struct validator *validator, struct request *rq, const Pb__CheckCaaRequest *input, const Pb__CaaSubject *one)
{
    struct identifier name;
    bool wildcard = false;

    enum error error = take_name(rq, one->name, &name, &wildcard);
    if (error || name.type != IDENTIFIER_DNS) /* CAA is about domains alone */
        return error;
    struct caa_subject subject = {.name = name.value,
                                  .wildcard = wildcard,
                                  .method = one->method,
                                  .account_uri = input->account_uri,
                                  .issuer_names = (const char *const *)input->issuer_names,
                                  .issuer_name_count = input->n_issuer_names};
    return caa_check(validator->resolver, rq, &subject);
}

enum error
check_caa(struct validator *validator, struct request *rq, const Pb__CheckCaaRequest *input, Pb__CheckCaaReply *ret_reply)
{
    enum error error = check_issuer_names(rq, input->n_issuer_names);

    if (error)
        return error;
    if (input->n_subjects > IDENTIFIERS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are %zu names; at most %d can be asked about", input->n_subjects, IDENTIFIERS_MAX);
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, TOTAL_MS);
    ret_reply->perspective = validator->config.perspective;
    for (size_t i = 0; i < input->n_subjects; i++) {
        error = check_one(validator, rq, input, input->subjects[i]);
        if (error == OK)
            continue;
        if (rq->failure.reason[0] == '\0')
            return error;
        ret_reply->problem = arena_text(rq->arena, rq->failure.reason);
        ret_reply->detail = arena_text(rq->arena, rq->failure.message);
        ret_reply->name = input->subjects[i]->name;
        failure_clear(rq);
        break;
    }
    ret_reply->allowed = ret_reply->name == NULL;
    request_note(rq, "found", "%s", ret_reply->allowed ? "allowed" : ret_reply->detail);
    return OK;
}
