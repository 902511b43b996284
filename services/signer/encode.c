/*
 * From intent, template and CA to the plan of the certificate. Nothing else goes in: no clock, no random numbers, no octet of a stranger's request
 * but the checked key and names. So the same intent always gives the same to-be-signed octets, and a repeat after a crash is the same certificate.
 */
#include "signer.h"

static unsigned
bit(const char *name)
{
    return 1u << key_usage_bit(name);
}

unsigned
encode_key_usage(const struct template *template, enum key_type type)
{
    unsigned enciphering = bit("keyEncipherment") | bit("dataEncipherment");
    unsigned agreeing = bit("keyAgreement") | bit("encipherOnly") | bit("decipherOnly");

    switch (type) {
    case KEY_RSA:
        /* RFC 3279 §2.3.1: RSA keys agree on nothing. */
        return template->key_usage & ~agreeing;
    case KEY_P256:
    case KEY_P384:
    case KEY_P521:
        /* RFC 8813 §3: keys of id-ecPublicKey encipher nothing. */
        return template->key_usage & ~enciphering;
    case KEY_ED25519:
        /* RFC 8410 §5. */
        return template->key_usage & ~(enciphering | agreeing);
    case KEY_UNKNOWN:
        break;
    }
    return 0;
}

struct certificate_plan
encode_plan(struct request *rq, const struct intent *intent, const struct template *template, const struct authority *authority)
{
    uint8_t *key_id = arena_alloc(rq->arena, 20);
    const Pb__Template *about = template->about;

    public_key_identifier(&intent->key, key_id);
    return (struct certificate_plan){
        .serial = intent->serial,
        .algorithm = authority->key.algorithm,
        .issuer = authority->certificate.subject,
        .subject = intent->subject,
        .not_before_s = intent->about->not_before_s,
        .not_after_s = intent->about->not_after_s,
        .spki = intent->key.spki,
        .authority_key_id = authority->subject_key_id,
        .subject_key_id = BYTES(key_id, 20),
        .path_length = -1,
        .with_basic_constraints = true,
        .key_usage = encode_key_usage(template, intent->key.type),
        .extended_key_usage = template->extended_key_usage,
        .extended_key_usage_count = template->extended_key_usage_count,
        .names = intent->names,
        .name_count = intent->name_count,
        .ocsp_url = about->include_ocsp ? authority->ocsp_url : "",
        .ca_issuers_url = about->include_aia ? authority->aia_url : "",
        .crl_url = about->include_crl ? authority->crl_url : "",
    };
}
