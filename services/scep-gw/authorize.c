/* Whether a request that was not seen before may go to ra, and as whom. ra then decides what it may have. */
#include <openssl/sha.h>

#include "base/drawn_secret.h"
#include "base/text.h"
#include "scep.h"

static enum error
by_passphrase(struct conversation *c, const struct csr *csr, struct transaction *transaction)
{
    if (c->profile->passphrase.len == 0)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "passphrase", "the profile has no passphrase, so nobody may enrol");
    if (!drawn_secret_is(c->profile->passphrase, csr->challenge_password))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "passphrase", "the challenge password is not the profile's passphrase");
    transaction->principal_kind = "scep-challenge";
    transaction->principal_id = c->profile->about->name;
    return OK;
}

/* The challenge is a matter between the device and who vouches for it: here it names the principal, by its HMAC, so that the log gives none away. */
static struct bytes
name_by_challenge(struct conversation *c, const struct csr *csr, struct transaction *transaction)
{
    struct bytes mac = drawn_secret_mac(c->rq->arena, c->profile->challenge_salt, csr->challenge_password);

    transaction->principal_kind = "scep-challenge";
    transaction->principal_id = arena_format(c->rq->arena, "%s:%s", c->profile->about->name, bytes_hex(c->rq->arena, BYTES(mac.at, 8), 0));
    return mac;
}

static enum error
by_challenge(struct conversation *c, const struct csr *csr, struct transaction *transaction, struct bytes *ret_challenge)
{
    if (csr->challenge_password.len == 0)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "challenge", "the request has no challenge password");
    *ret_challenge = name_by_challenge(c, csr, transaction);
    return OK;
}

/* Nobody has vouched for this device: an operator will, who sees its key. */
static enum error
by_approval(struct conversation *c, const struct csr *csr, struct transaction *transaction)
{
    uint8_t key[SHA256_DIGEST_LENGTH];

    public_key_sha256(&csr->key, key);
    transaction->principal_kind = "scep-challenge";
    transaction->principal_id = arena_format(c->rq->arena, "%s:%s", c->profile->about->name, bytes_hex(c->rq->arena, BYTES(key, 16), 0));
    transaction->needs_approval = true;
    return OK;
}

/* RFC 8894 §2.3: the certificate that signs should have the key and the subject of the request. Where the key only signs and the device reads no
 * answer under its password, it makes an RSA key for this one enrolment, under the same subject; that it has the other key, too, the certification
 * request's own signature says. */
static bool
is_signer_for_now(const struct conversation *c, const struct csr *csr)
{
    const struct peer *signer = &c->message.signer;

    return csr->key.type != KEY_RSA && signer->key.type == KEY_RSA && bytes_equal(signer->subject, csr->subject) &&
           bytes_equal(signer->issuer, signer->subject);
}

enum error
authorize(struct conversation *c, const struct csr *csr, struct transaction *transaction, struct bytes *ret_challenge)
{
    bool is_renewal = c->message.type == RENEWAL_REQ, same_key = bytes_equal(csr->key.spki, c->message.signer.key.spki);

    /* Apple renews with PKCSReq, and certmonger with one that still has the challenge of the first time, but another key than signs. A device whose
     * challenge is right needs no renewal. */
    if (c->message.type == PKCS_REQ && (csr->challenge_password.len == 0 || !same_key) && c->profile->about->renewal)
        is_renewal = authorities_find_issuer(&c->ras, c->message.signer.der) != NULL;
    if (is_renewal)
        return renewal_authorize(c, csr, transaction);
    if (!same_key && !is_signer_for_now(c, csr))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "signer-key",
                      "the message is signed with another key than the certification request names");
    switch (c->profile->authorization) {
    case BY_PASSPHRASE:
        return by_passphrase(c, csr, transaction);
    case BY_CHALLENGE:
        return by_challenge(c, csr, transaction, ret_challenge);
    case BY_WEBHOOK:
        (void)name_by_challenge(c, csr, transaction);
        return webhook_ask(c, csr);
    case BY_INTUNE:
        (void)name_by_challenge(c, csr, transaction);
        return intune_validate(c);
    case BY_APPROVAL:
        return by_approval(c, csr, transaction);
    }
    return fail(c->rq, ERR_INTERNAL, "the profile has an unknown authorization");
}
