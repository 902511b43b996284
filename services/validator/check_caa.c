/*
 * CAA once more, for names that were proven some time ago. Called by acme-gw when an order is finalized late; the answer is a fact, and an error is
 * returned only when there is none.
 */
#include "validator.h"

#include "base/clock.h"

/* Less than validator.proto gives, so that the answer still arrives. */
#define TOTAL_MS 18000

/* CAA is about domains alone: `ret_places` says which of the input's each is. */
static enum error
take_subjects(struct request *rq, const Pb__CheckCaaRequest *input, struct caa_subject *subjects, size_t *ret_places, size_t *ret_count)
{
    size_t count = 0;

    for (size_t i = 0; i < input->n_subjects; i++) {
        const Pb__CaaSubject *one = input->subjects[i];
        struct identifier name;
        bool wildcard = false;
        enum error error = take_name(rq, one->name, &name, &wildcard);
        if (error)
            return error;
        if (name.type != IDENTIFIER_DNS)
            continue;
        ret_places[count] = i;
        subjects[count++] = (struct caa_subject){.name = name.value,
                                                 .wildcard = wildcard,
                                                 .method = one->method,
                                                 .account_uri = input->account_uri,
                                                 .issuer_names = (const char *const *)input->issuer_names,
                                                 .issuer_name_count = input->n_issuer_names};
    }
    *ret_count = count;
    return OK;
}

enum error
check_caa(struct validator *validator, struct request *rq, const Pb__CheckCaaRequest *input, Pb__CheckCaaReply *ret_reply)
{
    enum error error = check_issuer_names(rq, input->n_issuer_names);

    if (error)
        return error;
    if (input->n_subjects > IDENTIFIERS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are %zu names; at most %d can be asked about", input->n_subjects, IDENTIFIERS_MAX);
    struct caa_subject *subjects = arena_array(rq->arena, input->n_subjects, sizeof *subjects);
    size_t *places = arena_array(rq->arena, input->n_subjects, sizeof *places), count = 0, which = 0;
    error = take_subjects(rq, input, subjects, places, &count);
    if (error)
        return error;
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, TOTAL_MS);
    error = caa_check(validator->resolver, rq, subjects, count, &which);
    if (error && rq->failure.reason[0] == '\0')
        return error;
    ret_reply->perspective = validator->config.perspective;
    ret_reply->allowed = error == OK;
    if (error) {
        ret_reply->problem = arena_text(rq->arena, rq->failure.reason);
        ret_reply->detail = arena_text(rq->arena, rq->failure.message);
        ret_reply->name = input->subjects[places[which]]->name;
        failure_clear(rq);
    }
    request_note(rq, "found", "%s", ret_reply->allowed ? "allowed" : ret_reply->detail);
    return OK;
}
