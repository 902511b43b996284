/*
 * The delegated responder of each CA (RFC 6960 §4.2.2.2): a key of its own on the token, so that the CA's key does not sign answers to strangers all
 * day, and a short certificate for it. delegate.c makes and renews it.
 */
#include "signer.h"

static int
life_days(const struct signer *signer)
{
    return signer->config.responder_days;
}

static void
fill(const struct authority *authority, struct certificate_plan *plan)
{
    plan->key_usage = 1u << key_usage_bit("digitalSignature");
    plan->extended_key_usage = &OID_OCSP_SIGNING;
    plan->extended_key_usage_count = 1;
    plan->ocsp_nocheck = true; /* RFC 6960 §4.2.2.2.1: its life is short instead */
}

const struct delegate_kind responder_kind = {
    .note = "responder",
    .key_prefix = "ocsp",
    .common_name = "OCSP responder",
    .expired = "nobody can answer for it",
    .algorithm = SIG_ECDSA_SHA256,
    .life_days = life_days,
    .fill = fill,
    .find = store_find_responder,
    .begin = store_begin_responder,
    .set = store_set_responder,
};

enum error
responder_load(struct signer *signer, struct request *rq, const struct authority *authority, const struct delegate **ret_responder)
{
    struct delegate_place place = {.name = authority->row.name, .authority = authority};

    return delegate_load(signer, rq, signer->responders, &place, ret_responder);
}
