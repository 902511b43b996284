/*
 * rpc ImportCa: called by `signetctl ca import` with what a foreign CA made of our request (CreateCa with csr_only). The certificate must be for the
 * key that we hold, be a CA's, and lead to a root over the chain that came with it; then the CA is active.
 * Or, with `alternate`, what another CA has certified of one that is active: a cross certificate.
 */
#include "signer.h"

#include "base/clock.h"
#include "pki/name.h"

#define KEY_CERT_SIGN_MASK 0x04 /* bit 5 of the first octet */

static bool
may_sign_certificates(const struct certificate *certificate)
{
    const struct extension *usage = certificate_extension(certificate, OID_KEY_USAGE);
    struct der in = der_of(usage != NULL ? usage->value : BYTES_NONE);
    struct bytes bits;

    if (usage == NULL)
        return true; /* RFC 5280 §4.2.1.3: absent means every usage */
    return der_take(&in, DER_BIT_STRING, &bits) && bits.len >= 2 && bits.at[1] & KEY_CERT_SIGN_MASK;
}

/* RFC 5280 §4.2: what is critical and not enforced here must not be passed over. Certificates outside name constraints would be made and refused by
 * every client, so constraints that are not marked critical count as well. */
static const struct extension *
find_not_enforced(const struct certificate *certificate)
{
    for (size_t i = 0; i < certificate->extension_count; i++) {
        const struct extension *extension = &certificate->extensions[i];
        bool is_enforced = oid_is(extension->oid, OID_BASIC_CONSTRAINTS) || oid_is(extension->oid, OID_KEY_USAGE);
        if ((extension->critical && !is_enforced) || oid_is(extension->oid, OID_NAME_CONSTRAINTS))
            return extension;
    }
    return NULL;
}

static enum error
check_is_ca(struct request *rq, const struct certificate *certificate, const char *which, int below)
{
    int path_length = -1;

    if (!certificate_is_ca(certificate, &path_length) || !may_sign_certificates(certificate))
        return fail(rq, ERR_BAD_REQUEST, "the %s is not that of a CA (basicConstraints, keyUsage)", which);
    if (path_length >= 0 && below > path_length)
        return fail(rq, ERR_BAD_REQUEST, "the %s has path length %d, but %d CAs are below it", which, path_length, below);
    if (certificate->not_after_s <= clock_now_s())
        return fail(rq, ERR_BAD_REQUEST, "the %s has expired", which);
    const struct extension *extension = find_not_enforced(certificate);
    if (extension != NULL)
        return fail(rq, ERR_BAD_REQUEST, "the %s has the extension %s, which is not enforced here", which, oid_name(rq->arena, extension->oid));
    return OK;
}

/* Each issued the one before it; the path length of each counts the CAs below it, ours included. */
static enum error
check_chain(struct request *rq, const Pb__ImportCaRequest *request, struct certificate below, struct authority_row *row)
{
    struct certificate issuer;

    if (request->n_chain == 0 || request->n_chain > CHAIN_MAX)
        return fail(rq, ERR_BAD_REQUEST, "1 to %d certificates above the CA are needed, the root last", CHAIN_MAX);
    for (size_t i = 0; i < request->n_chain; i++) {
        enum error error = certificate_parse(rq, message_bytes(request->chain[i]), &issuer);
        if (error == OK)
            error = check_is_ca(rq, &issuer, "chain's certificate", (int)i + 1);
        if (error != OK)
            return error;
        if (!certificate_is_issued_by(&below, &issuer))
            return fail(rq, ERR_BAD_REQUEST, "certificate %zu of the chain did not issue the one before it", i + 1);
        row->chain[i] = issuer.der;
        below = issuer;
    }
    row->chain_count = request->n_chain;
    if (!certificate_is_issued_by(&below, &below))
        return fail(rq, ERR_BAD_REQUEST, "the chain does not end in a self-signed root");
    return OK;
}

static enum error
check_certificate(struct request *rq, const Pb__ImportCaRequest *request, struct authority_row *row)
{
    struct certificate certificate;

    enum error error = certificate_parse(rq, message_bytes(request->certificate), &certificate);
    if (error != OK)
        return error;
    if (!bytes_equal(certificate.key.spki, row->public_key))
        return fail(rq, ERR_BAD_REQUEST, "the certificate is not for the key of CA %s", row->name);
    if (name_is_empty(certificate.subject))
        return fail(rq, ERR_BAD_REQUEST, "the certificate has no subject");
    if (bytes_equal(certificate.subject, certificate.issuer))
        return fail(rq, ERR_BAD_REQUEST, "the certificate has the subject of its issuer");
    error = check_is_ca(rq, &certificate, "certificate", 0);
    if (error != OK)
        return error;
    (void)certificate_is_ca(&certificate, &row->path_length);
    row->certificate = certificate.der;
    row->serial = certificate.serial;
    row->not_before_s = certificate.not_before_s;
    row->not_after_s = certificate.not_after_s;
    return check_chain(rq, request, certificate, row);
}

struct other_way {
    const char *name;
    const struct way_up *way;
};

static enum error
write_alternate(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct other_way *other = context;
    uint8_t sha256[32];
    bool added = false;

    enum error error = store_add_alternate(db, rq, other->name, other->way, &added);
    if (error != OK || !added)
        return error;
    certificate_sha256(other->way->certificates[0], sha256);
    change->action = "changed";
    change->also = arena_format(rq->arena, "cross certificate, SHA-256 %s", bytes_hex(rq->arena, BYTES(sha256, sizeof sha256), 0));
    return OK;
}

/* A cross certificate: for the same key under the same name, so that what the CA has issued leads to another root as well. */
static enum error
import_alternate(struct signer *signer, struct request *rq, const Pb__ImportCaRequest *request, struct authority_row *row)
{
    struct configuration_change change = {.what = "ca", .name = row->name, .by = request->operator_};
    struct authority_row other = *row;
    struct certificate own, certificate;
    struct way_up way = {0};

    if (row->status != AUTHORITY_ACTIVE)
        return fail(rq, ERR_CONFLICT, "the CA %s is %s: only an active one has other ways up", row->name, authority_status_name(row->status));
    if (row->alternate_count == ALTERNATES_MAX)
        return fail(rq, ERR_CONFLICT, "the CA %s has %d other ways up already", row->name, ALTERNATES_MAX);
    enum error error = check_certificate(rq, request, &other);
    if (error == OK)
        error = certificate_parse(rq, row->certificate, &own);
    if (error == OK)
        error = certificate_parse(rq, other.certificate, &certificate);
    if (error != OK)
        return error;
    if (!bytes_equal(certificate.subject, own.subject))
        return fail(rq, ERR_BAD_REQUEST, "the certificate has another subject than the CA %s: it is not the issuer of what that has issued",
                    row->name);
    way.certificates[way.count++] = other.certificate;
    for (size_t i = 0; i < other.chain_count; i++)
        way.certificates[way.count++] = other.chain[i];
    error = configuration_write(signer->outbox, signer->db, rq, write_alternate, &(struct other_way){row->name, &way}, &change);
    if (error != OK)
        return error;
    authority_cache_forget(signer->authorities);
    bool found;
    return store_find_authority(signer, rq, request->name, &found, row);
}

enum error
import_ca(struct signer *signer, struct request *rq, const Pb__ImportCaRequest *request, Pb__ImportCaReply *ret_reply)
{
    struct authority_row row;
    bool found;

    request_note(rq, "ca", "%s", request->name);
    if (request->name[0] == '\0')
        return fail(rq, ERR_BAD_REQUEST, "the request names no CA");
    enum error error = store_find_authority(signer, rq, request->name, &found, &row);
    if (error != OK)
        return error;
    if (!found)
        return fail(rq, ERR_NOT_FOUND, "there is no CA \"%s\"", request->name);
    if (request->alternate) {
        error = import_alternate(signer, rq, request, &row);
        if (error == OK)
            ret_reply->ca = ca_profile_message(rq, &row);
        return error;
    }
    bool is_repeat = row.status == AUTHORITY_ACTIVE && bytes_equal(row.certificate, message_bytes(request->certificate));
    if (!is_repeat) {
        if (row.status != AUTHORITY_WAITING)
            return fail(rq, ERR_CONFLICT, "the CA %s does not wait for a certificate; it is %s", row.name, authority_status_name(row.status));
        error = check_certificate(rq, request, &row);
        if (error == OK)
            error = ca_profile_activate(signer, rq, request->operator_, &row);
        if (error != OK)
            return error;
    }
    ret_reply->ca = ca_profile_message(rq, &row);
    return OK;
}
