/*
 * CRLs, read entry by entry: crl-publisher lets nothing replace the list that it serves before it went through here, and the tests
 * ask it for serials. Full lists only: what a delta or an indirect CRL would add by critical extensions is refused.
 */
#include "pki/crl.h"

#include "pki/oid.h"

#define VERSION_2 1
#define CRL_EXTENSIONS_MAX 16
#define ENTRY_EXTENSIONS_MAX 8
#define REASON_MAX 10
#define REASON_UNUSED 7

static enum error
malformed(struct request *rq, const char *part)
{
    return fail(rq, ERR_BAD_REQUEST, "the CRL is malformed: %s", part);
}

static bool
read_reason(struct bytes value, int *ret_reason)
{
    struct der in = der_of(value);
    struct bytes content;

    if (!der_take(&in, DER_ENUMERATED, &content) || !der_at_end(&in) || content.len != 1 || content.at[0] > REASON_MAX ||
        content.at[0] == REASON_UNUSED)
        return false;
    *ret_reason = content.at[0];
    return true;
}

static bool
read_invalidity(struct bytes value, int64_t *ret_unix_s)
{
    struct der in = der_of(value);

    return der_peek(&in) == DER_GENERALIZED_TIME && der_take_time(&in, ret_unix_s) && der_at_end(&in);
}

static bool
read_entry_extensions(struct der *in, struct crl_entry *entry)
{
    struct extension extensions[ENTRY_EXTENSIONS_MAX];
    size_t count;

    if (!extensions_take(in, extensions, ENTRY_EXTENSIONS_MAX, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (oid_is(extensions[i].oid, OID_CRL_REASON)) {
            if (!read_reason(extensions[i].value, &entry->reason))
                return false;
        } else if (oid_is(extensions[i].oid, OID_INVALIDITY_DATE)) {
            if (!read_invalidity(extensions[i].value, &entry->invalidity_s))
                return false;
        } else if (extensions[i].critical) {
            return false;
        }
    }
    return true;
}

/* SEQUENCE { userCertificate, revocationDate, crlEntryExtensions OPTIONAL } */
bool
crl_take_entry(struct der *entries, struct crl_entry *ret_entry)
{
    struct crl_entry entry = {.reason = 0};
    struct der inside;

    if (!der_enter(entries, DER_SEQUENCE, &inside) || !der_take_unsigned(&inside, &entry.serial) || !der_take_time(&inside, &entry.revoked_at_s))
        return false;
    if (!der_at_end(&inside) && (!read_entry_extensions(&inside, &entry) || !der_at_end(&inside)))
        return false;
    *ret_entry = entry;
    return true;
}

static bool
read_authority_key_id(struct bytes value, struct bytes *ret_key_id)
{
    struct der outer = der_of(value), inside;

    if (!der_enter(&outer, DER_SEQUENCE, &inside) || !der_at_end(&outer))
        return false;
    return der_peek(&inside) != DER_CONTEXT(0) || der_take(&inside, DER_CONTEXT(0), ret_key_id);
}

static enum error
read_extension(struct request *rq, const struct extension *extension, struct crl *crl)
{
    struct der in = der_of(extension->value);

    if (oid_is(extension->oid, OID_CRL_NUMBER))
        return der_take_unsigned(&in, &crl->number) && der_at_end(&in) ? OK : malformed(rq, "cRLNumber");
    if (oid_is(extension->oid, OID_AUTHORITY_KEY_IDENTIFIER))
        return read_authority_key_id(extension->value, &crl->authority_key_id) ? OK : malformed(rq, "authorityKeyIdentifier");
    /* RFC 5280 §5.2: a critical extension that is not understood changes what the list means. */
    if (extension->critical)
        return fail(rq, ERR_BAD_REQUEST, "the CRL has a critical extension that is not supported: %s", oid_name(rq->arena, extension->oid));
    return OK;
}

static enum error
read_extensions(struct request *rq, struct der *tbs, struct crl *crl)
{
    struct extension extensions[CRL_EXTENSIONS_MAX];
    struct der explicit;
    size_t count = 0;

    if (der_at_end(tbs))
        return OK;
    if (!der_enter(tbs, DER_CONTEXT_CONSTRUCTED(0), &explicit) || !extensions_take(&explicit, extensions, CRL_EXTENSIONS_MAX, &count) ||
        !der_at_end(&explicit) || !der_at_end(tbs))
        return malformed(rq, "extensions");
    for (size_t i = 0; i < count; i++) {
        enum error error = read_extension(rq, &extensions[i], crl);
        if (error)
            return error;
    }
    return OK;
}

static enum error
read_entries(struct request *rq, struct der *tbs, struct crl *crl)
{
    struct der entries;

    if (der_peek(tbs) != DER_SEQUENCE)
        return OK;
    if (!der_take(tbs, DER_SEQUENCE, &crl->entries))
        return malformed(rq, "revoked certificates");
    for (entries = der_of(crl->entries); !der_at_end(&entries); crl->entry_count++) {
        struct crl_entry entry;
        if (!crl_take_entry(&entries, &entry))
            return fail(rq, ERR_BAD_REQUEST, "the CRL is malformed: entry %zu", crl->entry_count);
    }
    return OK;
}

static enum error
read_tbs(struct request *rq, struct crl *crl, struct bytes outer_algorithm)
{
    struct der outer = der_of(crl->tbs), tbs;
    struct bytes algorithm;
    int64_t version;

    if (!der_enter(&outer, DER_SEQUENCE, &tbs) || !der_take_int(&tbs, &version) || version != VERSION_2)
        return fail(rq, ERR_BAD_REQUEST, "the CRL is not of version 2");
    if (!der_take_whole(&tbs, NULL, &algorithm) || !bytes_equal(algorithm, outer_algorithm))
        return malformed(rq, "its two signature algorithms differ");
    if (der_peek(&tbs) != DER_SEQUENCE || !der_take_whole(&tbs, NULL, &crl->issuer))
        return malformed(rq, "issuer");
    /* RFC 5280 §5.1.2.5: nextUpdate is always there. */
    if (!der_take_time(&tbs, &crl->this_update_s) || !der_take_time(&tbs, &crl->next_update_s))
        return malformed(rq, "thisUpdate or nextUpdate");
    enum error error = read_entries(rq, &tbs, crl);

    return error ? error : read_extensions(rq, &tbs, crl);
}

enum error
crl_parse(struct request *rq, struct bytes der, struct crl *ret_crl)
{
    struct crl crl = {.der = der};
    struct der outer = der_of(der), parts;
    struct bytes algorithm;

    if (!der_enter(&outer, DER_SEQUENCE, &parts) || !der_take_whole(&parts, NULL, &crl.tbs) || !der_take_whole(&parts, NULL, &algorithm) ||
        !der_take_bits(&parts, &crl.signature) || !der_at_end(&parts))
        return malformed(rq, "it is not a DER CRL");
    if (!der_at_end(&outer))
        return malformed(rq, "something follows it");
    enum error error = read_tbs(rq, &crl, algorithm);
    if (error)
        return error;
    crl.algorithm = signature_algorithm_parse(algorithm);
    *ret_crl = crl;
    return OK;
}

bool
crl_is_signed_by(const struct crl *crl, const struct certificate *issuer)
{
    return bytes_equal(crl->issuer, issuer->subject) && signature_verify(&issuer->key, crl->algorithm, crl->tbs, crl->signature);
}

bool
crl_find(const struct crl *crl, struct bytes serial, struct crl_entry *ret_entry)
{
    struct der entries = der_of(crl->entries);
    struct crl_entry entry;

    while (!der_at_end(&entries) && crl_take_entry(&entries, &entry)) {
        if (!bytes_equal(entry.serial, serial))
            continue;
        *ret_entry = entry;
        return true;
    }
    return false;
}
