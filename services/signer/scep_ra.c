/*
 * The RA certificate of each SCEP profile (RFC 8894 §2.1.2): an RSA key of its own on the token, whatever key the CA has, and a certificate for
 * digitalSignature and keyEncipherment, which clients look for. delegate.c makes it, and renews it for the same key, so that envelopes for the old
 * one still open.
 */
#include "signer.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/incarnation.h"

#define LIFE_DAYS 366
#define NAME_MAX_LEN 40

static int
life_days(const struct signer *signer)
{
    return LIFE_DAYS;
}

static void
fill(const struct authority *authority, struct certificate_plan *plan)
{
    plan->with_basic_constraints = true;
    plan->key_usage = 1u << key_usage_bit("digitalSignature") | 1u << key_usage_bit("keyEncipherment");
    plan->crl_url = authority->crl_url;
}

/* A secret that every replica derives alike and that nobody has who has not the key: PKCS#1 v1.5 signatures are deterministic. No SCEP message, whose
 * attributes are a SET, has this form. */
static enum error
derive_rejection(struct signer *signer, struct request *rq, struct delegate *ra)
{
    struct bytes signature;

    enum error error = hsm_key_sign(signer, rq, &ra->key, bytes_of_text("signet-scep-implicit-rejection-v1"), &signature);
    if (error != OK)
        return error;
    (void)SHA256(signature.at, signature.len, ra->secret);
    return OK;
}

const struct delegate_kind scep_ra_kind = {
    .note = "scep_ra",
    .key_prefix = "scep",
    .common_name = "SCEP RA",
    .expired = "it has no RA any more",
    .algorithm = SIG_RSA_SHA256,
    .life_days = life_days,
    .fill = fill,
    .find = store_find_scep_ra,
    .begin = store_begin_scep_ra,
    .set = store_set_scep_ra,
    .finish = derive_rejection,
};

enum error
scep_ra_check_name(struct request *rq, const char *profile)
{
    size_t len = strcspn(profile, "."), behind = profile[len] == '.' ? strlen(profile + len + 1) : 0;

    if (len == 0 || len > NAME_MAX_LEN || strspn(profile, "abcdefghijklmnopqrstuvwxyz0123456789-") != len ||
        (profile[len] == '.' && (behind != INCARNATION_LEN || strspn(profile + len + 1, "0123456789abcdef") != behind)))
        return fail(rq, ERR_BAD_REQUEST, "a profile is named with at most %d of a-z, 0-9 and '-', and its incarnation", NAME_MAX_LEN);
    request_note(rq, "profile", "%s", profile);
    return OK;
}

const char *
scep_ra_key_name(struct arena *arena, const char *profile)
{
    return arena_format(arena, "%s:%s", scep_ra_kind.key_prefix, profile);
}

enum error
scep_ra_of(struct signer *signer, struct request *rq, const char *profile, const char *issuer, const struct delegate **ret_ra)
{
    struct delegate_place place = {.name = profile};

    enum error error = scep_ra_check_name(rq, profile);
    if (error == OK)
        error = authority_load(signer, rq, issuer, &place.authority);
    return error == OK ? delegate_load(signer, rq, signer->scep_ras, &place, ret_ra) : error;
}
