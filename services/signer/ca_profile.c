/*
 * What the certificate of a CA looks like, whoever signs it, and how a CA becomes active. Used by create_ca.c, import_ca.c and list_cas.c.
 */
#include "signer.h"

#include <string.h>

#include "base/text.h"
#include "pki/name.h"

enum error
ca_profile_subject(struct request *rq, const Pb__CreateCaRequest *request, struct bytes *ret_subject)
{
    /* From the country down to the common name, as X.500 orders them. */
    const struct name_part parts[] = {
        {OID_COUNTRY, request->country},
        {OID_STATE, request->state},
        {OID_LOCALITY, request->locality},
        {OID_ORGANIZATION, request->organization},
        {OID_ORGANIZATIONAL_UNIT, request->organizational_unit},
        {OID_COMMON_NAME, request->common_name},
    };

    if (text_is_empty(request->common_name))
        return fail(rq, ERR_BAD_REQUEST, "a CA needs a common name");
    if (!text_is_empty(request->country) && (strlen(request->country) != 2 || strspn(request->country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2))
        return fail(rq, ERR_BAD_REQUEST, "the country must be two capital letters, as in ISO 3166");
    struct bytes subject = name_encode(rq->arena, parts, sizeof parts / sizeof parts[0]);
    enum error error = name_check(rq, subject);
    if (error != OK)
        return error;
    *ret_subject = subject;
    return OK;
}

struct certificate_plan
ca_profile_plan(struct request *rq, const struct authority_row *row, const struct public_key *key, const struct authority *parent)
{
    uint8_t *key_id = arena_alloc(rq->arena, 20);
    bool has_issuer = parent != NULL;

    public_key_identifier(key, key_id);
    return (struct certificate_plan){
        .serial = row->serial,
        .algorithm = has_issuer ? parent->key.algorithm : hsm_key_algorithm(row->key_type, row->digest),
        .issuer = has_issuer ? parent->certificate.subject : row->subject,
        .subject = row->subject,
        .not_before_s = row->not_before_s,
        .not_after_s = row->not_after_s,
        .spki = key->spki,
        .authority_key_id = has_issuer ? parent->subject_key_id : BYTES_NONE,
        .subject_key_id = BYTES(key_id, 20),
        .is_ca = true,
        .path_length = row->path_length,
        .key_usage = 1u << key_usage_bit("keyCertSign") | 1u << key_usage_bit("cRLSign"),
        .ocsp_url = has_issuer ? parent->ocsp_url : "",
        .ca_issuers_url = has_issuer ? parent->aia_url : "",
        .crl_url = has_issuer ? parent->crl_url : "",
    };
}

static Pb__CertificateChain *
way_up_message(struct arena *arena, const struct way_up *way)
{
    Pb__CertificateChain *chain = arena_alloc(arena, sizeof *chain);

    pb__certificate_chain__init(chain);
    chain->certificates = arena_array(arena, way->count, sizeof *chain->certificates);
    for (size_t i = 0; i < way->count; i++)
        chain->certificates[chain->n_certificates++] = message_data(way->certificates[i]);
    return chain;
}

Pb__Ca *
ca_profile_message(struct request *rq, const struct authority_row *row)
{
    Pb__Ca *ca = arena_alloc(rq->arena, sizeof *ca);

    pb__ca__init(ca);
    ca->name = row->name;
    ca->status = authority_status_name(row->status);
    ca->certificate = message_data(row->certificate);
    ca->chain = arena_array(rq->arena, row->chain_count, sizeof *ca->chain);
    for (size_t i = 0; i < row->chain_count; i++)
        ca->chain[ca->n_chain++] = message_data(row->chain[i]);
    ca->alternates = arena_array(rq->arena, row->alternate_count, sizeof *ca->alternates);
    for (size_t i = 0; i < row->alternate_count; i++)
        ca->alternates[ca->n_alternates++] = way_up_message(rq->arena, &row->alternates[i]);
    ca->csr = message_data(row->csr);
    ca->key_uri = row->key_uri;
    ca->key_type = row->key_type;
    ca->parent = row->parent;
    ca->created_at_s = row->created_at_s;
    ca->evidence = row->evidence;
    ca->id = row->id;
    ca->is_default = row->is_default;
    ca->successor = row->successor;
    ca->revoked_at_s = row->revoked_at_s;
    ca->revocation_reason = (Pb__RevocationReason)row->revocation_reason;
    return ca;
}

enum error
ca_profile_activate(struct signer *signer, struct request *rq, const char *by, struct authority_row *row)
{
    Pb__CaCreated event = PB__CA_CREATED__INIT;
    bool found;

    event.name = row->name;
    event.certificate = message_data(row->certificate);
    event.operator_ = by;
    event.caller = rq->caller;
    const char *event_id = arena_format(rq->arena, "ca-created-%s-%s", row->name, bytes_hex(rq->arena, row->serial, 0));
    enum error error = store_activate_authority(signer, rq, row, event_id, &event.base);
    if (error != OK)
        return error;
    authority_cache_forget(signer->authorities);
    return store_find_authority(signer, rq, row->name, &found, row);
}
