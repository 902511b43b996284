/*
 * A CRL of a CA that a profile trusts, as an operator gives it: read by our own walk, its signature verified by OpenSSL with the key of one of the
 * profile's anchors, whatever key that is. Full CRLs only (crl_parse): what a delta, a partition or an indirect CRL leaves out would pass for not
 * revoked.
 */
#include "est.h"

#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "pki/name.h"
#include "pki/pem.h"

#define CLOCK_SKEW_S 300

DEFINE_AUTO(X509, X509_free);
DEFINE_AUTO(X509_CRL, X509_CRL_free);
DEFINE_AUTO(RSA_PSS_PARAMS, RSA_PSS_PARAMS_free);

void
client_crl_issuer_id(struct arena *arena, X509 *issuer, uint8_t ret_id[32])
{
    struct buffer all = buffer_in(arena);
    struct bytes name = x509_name_der(X509_get_subject_name(issuer));
    uint8_t *spki = NULL;
    int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &spki);

    buffer_append(&all, name.at, name.len);
    if (spki_len > 0)
        buffer_append(&all, spki, (size_t)spki_len);
    OPENSSL_free(spki);
    (void)SHA256(all.at, all.len, ret_id);
}

enum error
client_crl_anchor_ids(struct request *rq, const Pb__EstProfile *profile, struct bytes **ret_ids, size_t *ret_count)
{
    struct bytes *anchors;
    size_t count, known = 0;
    enum error error = pem_all(rq, profile->anchors, "CERTIFICATE", ANCHORS_MAX, &anchors, &count);

    if (error)
        return error;
    struct bytes *ids = arena_array(rq->arena, count, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        AUTO(X509, anchor) = x509_read(anchors[i]);
        uint8_t *id = arena_alloc(rq->arena, SHA256_DIGEST_LENGTH);
        if (anchor == NULL)
            continue;
        client_crl_issuer_id(rq->arena, anchor, id);
        ids[known++] = BYTES(id, SHA256_DIGEST_LENGTH);
    }
    *ret_ids = ids;
    *ret_count = known;
    return OK;
}

/* ---- its signature ---- */

static int
pss_digest(const X509_ALGOR *algorithm)
{
    AUTO(RSA_PSS_PARAMS, parameters) = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter);

    if (parameters == NULL || parameters->hashAlgorithm == NULL)
        return NID_sha1; /* RFC 4055 §3.1: the default */
    return OBJ_obj2nid(parameters->hashAlgorithm->algorithm);
}

/* Whoever finds a collision would have the maker sign a CRL that leaves his device out. */
static bool
digest_is_weak(const X509_CRL *crl)
{
    const X509_ALGOR *algorithm;
    int digest = NID_undef, key = NID_undef;

    X509_CRL_get0_signature(crl, NULL, &algorithm);
    (void)OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &digest, &key);
    if (key == NID_rsassaPss)
        digest = pss_digest(algorithm);
    return digest == NID_sha1 || digest == NID_md5 || digest == NID_md5_sha1 || digest == NID_md4 || digest == NID_md2;
}

/* RFC 5280 §6.3.3 (f): who has a key usage must have cRLSign in it. */
static bool
may_have_signed(X509 *anchor, struct bytes issuer)
{
    return bytes_equal(x509_name_der(X509_get_subject_name(anchor)), issuer) && (X509_get_key_usage(anchor) & KU_CRL_SIGN) != 0;
}

static enum error
find_signer(struct request *rq, const Pb__EstProfile *profile, X509_CRL *crl, struct bytes issuer, uint8_t ret_id[32])
{
    struct bytes *anchors;
    size_t count;
    enum error error = pem_all(rq, profile->anchors, "CERTIFICATE", ANCHORS_MAX, &anchors, &count);

    for (size_t i = 0; error == OK && i < count; i++) {
        AUTO(X509, anchor) = x509_read(anchors[i]);
        if (anchor == NULL || !may_have_signed(anchor, issuer) || X509_CRL_verify(crl, X509_get0_pubkey(anchor)) != 1)
            continue;
        client_crl_issuer_id(rq->arena, anchor, ret_id);
        return OK;
    }
    return error ? error
                 : fail(rq, ERR_BAD_REQUEST, "the CRL of %s is signed by none of the profile's anchors (a CA below one can be made an anchor, too)",
                        name_format(rq->arena, issuer));
}

enum error
client_crl_read(struct request *rq, const Pb__EstProfile *profile, struct bytes der, struct client_crl *ret_crl)
{
    struct client_crl read = {.profile = profile->name};
    const unsigned char *at = der.at;

    if (der.len == 0 || der.len > CLIENT_CRL_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a CRL has 1 to %d octets", CLIENT_CRL_MAX);
    enum error error = crl_parse(rq, der, &read.list);
    if (error)
        return error;
    if (read.list.this_update_s > clock_now_s() + CLOCK_SKEW_S)
        return fail(rq, ERR_BAD_REQUEST, "the CRL is not valid yet");
    AUTO(X509_CRL, crl) = d2i_X509_CRL(NULL, &at, (long)der.len);
    if (crl == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the CRL cannot be read");
    if (digest_is_weak(crl))
        return fail(rq, ERR_BAD_REQUEST, "the CRL is signed with a digest that is no proof any more");
    error = find_signer(rq, profile, crl, read.list.issuer, read.issuer_id);
    if (!error)
        *ret_crl = read;
    return error;
}

/* ---- which is newer ---- */

int
client_crl_compare_numbers(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len == 0 ? 0 : memcmp(a.at, b.at, a.len);
}

/* RFC 5280 §5.2.3: numbers only grow. Who gives a list that was valid last week brings back what was revoked since. */
enum error
client_crl_check_newer(struct request *rq, const struct client_crl *crl, struct bytes number, int64_t this_update_s)
{
    bool has_number = number.len > 0 && crl->list.number.len > 0;

    if (crl->list.this_update_s >= this_update_s && (!has_number || client_crl_compare_numbers(crl->list.number, number) >= 0))
        return OK;
    return fail(rq, ERR_CONFLICT, "the profile has a newer CRL of %s: number %s of %s", name_format(rq->arena, crl->list.issuer),
                number.len > 0 ? bytes_hex(rq->arena, number, 0) : "(none)", clock_format_rfc3339(rq->arena, this_update_s));
}

Pb__EstCrl *
client_crl_about(struct arena *arena, const struct crl *list)
{
    Pb__EstCrl *about = arena_alloc(arena, sizeof *about);

    pb__est_crl__init(about);
    about->issuer = name_format(arena, list->issuer);
    about->number = bytes_hex(arena, list->number, 0);
    about->this_update_at_s = list->this_update_s;
    about->next_update_at_s = list->next_update_s;
    about->entries = (uint32_t)list->entry_count;
    return about;
}
