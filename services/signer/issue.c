/* The one way to a signed certificate, whoever it is for: encode, lint, sign on the token, verify. Called by sign_certificates.c, create_ca.c,
 * responder.c. */
#include "signer.h"

enum error
issue_encode(struct signer *signer, struct request *rq, const struct certificate_plan *plan, struct bytes *ret_tbs)
{
    struct bytes tbs = certificate_encode_tbs(rq->arena, plan);

    enum error error = lint_check(rq, tbs, plan);
    if (error != OK) {
        metric_add(signer->lint_refusals, 1);
        return error;
    }
    *ret_tbs = tbs;
    return OK;
}

struct bytes
issue_join(struct signer *signer, struct request *rq, struct bytes tbs, const struct token_key *key, struct bytes signature)
{
    metric_add(signer->certificates, 1);
    return signed_join(rq->arena, tbs, key->algorithm, signature);
}

enum error
issue_certificate(struct signer *signer, struct request *rq, const struct certificate_plan *plan, const struct token_key *key,
                  struct bytes *ret_certificate)
{
    struct bytes tbs, signature;

    enum error error = issue_encode(signer, rq, plan, &tbs);
    if (error == OK)
        error = hsm_key_sign(signer, rq, key, tbs, &signature);
    if (error != OK)
        return error;
    *ret_certificate = issue_join(signer, rq, tbs, key, signature);
    return OK;
}
