/* The one way to a signed certificate, whoever it is for: encode, lint, sign on the token, verify. Called by sign_certificate.c, create_ca.c,
 * responder.c. */
#include "signer.h"

enum error
issue_certificate(struct signer *signer, struct request *rq, const struct certificate_plan *plan, const struct token_key *key,
                  struct bytes *ret_certificate)
{
    struct bytes tbs = certificate_encode_tbs(rq->arena, plan), signature;

    enum error error = lint_check(rq, tbs, plan);
    if (error != OK) {
        metric_add(signer->lint_refusals, 1);
        return error;
    }
    error = hsm_key_sign(signer, rq, key, tbs, &signature);
    if (error != OK)
        return error;
    metric_add(signer->certificates, 1);
    *ret_certificate = signed_join(rq->arena, tbs, plan->algorithm, signature);
    return OK;
}
