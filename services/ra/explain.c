/* Called when an operator asks why: the verdict of every layer on a request, without issuing or storing anything. */
#include "ra.h"

enum error
explain(struct ra *ra, struct request *rq, const Pb__ExplainRequest *request, Pb__ExplainReply *ret_reply)
{
    struct application application;
    const struct policy *policy;
    struct verdict verdicts[LAYER_COUNT];

    if (request->request == NULL)
        return fail(rq, ERR_BAD_REQUEST, "request is missing");
    enum error error = application_check(rq, request->request);
    if (!error)
        error = application_read(ra, rq, request->request, &application);
    if (!error)
        error = policy_hold(ra, rq, &policy);
    if (error)
        return error;

    layers_judge(rq->arena, policy, &application, verdicts);
    ret_reply->layers = arena_array(rq->arena, LAYER_COUNT, sizeof(Pb__LayerVerdict *));
    ret_reply->n_layers = LAYER_COUNT;
    ret_reply->would_issue = true;
    for (enum layer layer = LAYER_IDENTITY; layer < LAYER_COUNT; layer++) {
        Pb__LayerVerdict *verdict = arena_alloc(rq->arena, sizeof *verdict);
        pb__layer_verdict__init(verdict);
        verdict->layer = layer_name(layer);
        verdict->code = layer_code(layer);
        verdict->passed = verdicts[layer].passed;
        verdict->message = verdicts[layer].message;
        ret_reply->layers[layer] = verdict;
        ret_reply->would_issue &= verdicts[layer].passed;
    }
    ret_reply->needs_approval = ret_reply->would_issue && (application.template->requires_approval || request->request->wants_approval);
    ret_reply->would_issue = ret_reply->would_issue && !ret_reply->needs_approval;
    return OK;
}
