/* The two shapes of CMS that SCEP is made of, walked in DER (ber.c comes before), and the third that it is answered with. Pure functions on
 * strangers' octets. */
#include "scep.h"

#include "pki/oid.h"

#define KEY_ID DER_CONTEXT(0)

/* ContentInfo ::= SEQUENCE { contentType, [0] EXPLICIT content }: the SEQUENCE inside. */
static bool
enter_content_info(struct bytes der, struct bytes type, struct der *ret_inside)
{
    struct der in = der_of(der), info, explicit;
    struct bytes oid;

    return der_enter(&in, DER_SEQUENCE, &info) && der_at_end(&in) && der_take_oid(&info, &oid) && oid_is(oid, type) &&
           der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &explicit) && der_at_end(&info) && der_enter(&explicit, DER_SEQUENCE, ret_inside) &&
           der_at_end(&explicit);
}

static bool
take_algorithm(struct der *in, struct bytes *ret_oid, struct der *ret_parameters)
{
    return der_enter(in, DER_SEQUENCE, ret_parameters) && der_take_oid(ret_parameters, ret_oid);
}

static bool
take_issuer_and_serial(struct der *in, struct bytes *ret_issuer, struct bytes *ret_serial)
{
    struct der inside;

    return der_enter(in, DER_SEQUENCE, &inside) && der_take_whole(&inside, NULL, ret_issuer) && der_take(&inside, DER_INTEGER, ret_serial) &&
           der_at_end(&inside);
}

static bool
skip_if(struct der *in, unsigned tag)
{
    return der_peek(in) != tag || der_skip(in);
}

static bool
take_encapsulated(struct der *in, struct cms_signed *to)
{
    struct der info, explicit;
    struct bytes oid;

    if (!der_enter(in, DER_SEQUENCE, &info) || !der_take_oid(&info, &oid))
        return false;
    if (der_at_end(&info))
        return true;
    return der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &explicit) && der_at_end(&info) && der_take(&explicit, DER_OCTET_STRING, &to->content) &&
           der_at_end(&explicit);
}

static bool
take_signer(struct der *in, struct cms_signed *to)
{
    struct der info, parameters;
    int64_t version;

    if (!der_enter(in, DER_SEQUENCE, &info) || !der_take_int(&info, &version))
        return false;
    if (der_peek(&info) == KEY_ID) {
        if (!der_take(&info, KEY_ID, &to->signer_key_id))
            return false;
    } else if (!take_issuer_and_serial(&info, &to->signer_issuer, &to->signer_serial)) {
        return false;
    }
    return take_algorithm(&info, &to->digest_oid, &parameters) && der_take(&info, DER_CONTEXT_CONSTRUCTED(0), &to->attributes) &&
           take_algorithm(&info, &to->signature_oid, &parameters) && der_take(&info, DER_OCTET_STRING, &to->signature) &&
           skip_if(&info, DER_CONTEXT_CONSTRUCTED(1)) && der_at_end(&info);
}

const char *
cms_read_signed(struct bytes der, struct cms_signed *ret_signed)
{
    struct cms_signed signed_data = {0};
    struct der in, signers;
    int64_t version;

    if (!enter_content_info(der, OID_CMS_SIGNED_DATA, &in))
        return "it is no SignedData";
    if (!der_take_int(&in, &version) || !der_take(&in, DER_SET, &(struct bytes){0}) || !take_encapsulated(&in, &signed_data))
        return "its content cannot be read";
    if (der_peek(&in) == DER_CONTEXT_CONSTRUCTED(0) && !der_take(&in, DER_CONTEXT_CONSTRUCTED(0), &signed_data.certificates))
        return "its certificates cannot be read";
    if (!skip_if(&in, DER_CONTEXT_CONSTRUCTED(1)) || !der_enter(&in, DER_SET, &signers) || !der_at_end(&in))
        return "its signers cannot be read";
    if (!take_signer(&signers, &signed_data))
        return "its signer cannot be read";
    if (!der_at_end(&signers))
        return "it has more than one signer";
    *ret_signed = signed_data;
    return NULL;
}

static bool
take_recipient(struct der *in, struct cms_recipient *ret_recipient)
{
    struct cms_recipient recipient = {0};
    struct der info, parameters;
    int64_t version;

    if (!der_enter(in, DER_SEQUENCE, &info) || !der_take_int(&info, &version))
        return false;
    if (der_peek(&info) == KEY_ID) {
        if (!der_take(&info, KEY_ID, &recipient.key_id))
            return false;
    } else if (!take_issuer_and_serial(&info, &recipient.issuer, &recipient.serial)) {
        return false;
    }
    if (!take_algorithm(&info, &recipient.key_algorithm, &parameters) || !der_take(&info, DER_OCTET_STRING, &recipient.encrypted_key) ||
        !der_at_end(&info))
        return false;
    *ret_recipient = recipient;
    return true;
}

/* Other kinds of recipients ([1] and up) are passed over: they are for somebody else. */
static const char *
take_recipients(struct der *in, struct cms_enveloped *to)
{
    struct der recipients;

    if (!der_enter(in, DER_SET, &recipients))
        return "its recipients cannot be read";
    while (!der_at_end(&recipients)) {
        if (der_peek(&recipients) != DER_SEQUENCE) {
            if (!der_skip(&recipients))
                return "its recipients cannot be read";
            continue;
        }
        if (to->recipient_count == RECIPIENTS_MAX)
            return "it has too many recipients";
        if (!take_recipient(&recipients, &to->recipients[to->recipient_count]))
            return "its recipient cannot be read";
        to->recipient_count++;
    }
    return to->recipient_count == 0 ? "it has no recipient that we could be" : NULL;
}

/* [0] IMPLICIT OCTET STRING, whole or in pieces; the pieces are octet strings, which ber.c has joined in themselves. */
static bool
take_encrypted_content(struct arena *arena, struct der *in, struct bytes *ret_content)
{
    struct buffer joined = buffer_in(arena);
    struct der pieces;
    struct bytes piece;

    if (der_peek(in) == DER_CONTEXT(0))
        return der_take(in, DER_CONTEXT(0), ret_content);
    if (!der_enter(in, DER_CONTEXT_CONSTRUCTED(0), &pieces))
        return false;
    while (!der_at_end(&pieces)) {
        if (!der_take(&pieces, DER_OCTET_STRING, &piece))
            return false;
        buffer_append(&joined, piece.at, piece.len);
    }
    *ret_content = buffer_bytes(&joined);
    return true;
}

const char *
cms_read_enveloped(struct arena *arena, struct bytes der, struct cms_enveloped *ret_enveloped)
{
    struct cms_enveloped enveloped = {0};
    struct der in, info, parameters;
    struct bytes oid;
    int64_t version;

    if (!enter_content_info(der, OID_CMS_ENVELOPED_DATA, &in))
        return "it is no EnvelopedData";
    if (!der_take_int(&in, &version) || !skip_if(&in, DER_CONTEXT_CONSTRUCTED(0)))
        return "it cannot be read";
    const char *fault = take_recipients(&in, &enveloped);
    if (fault != NULL)
        return fault;
    if (!der_enter(&in, DER_SEQUENCE, &info) || !skip_if(&in, DER_CONTEXT_CONSTRUCTED(1)) || !der_at_end(&in) || !der_take_oid(&info, &oid) ||
        !take_algorithm(&info, &enveloped.cipher_oid, &parameters))
        return "its content cannot be read";
    if (der_peek(&parameters) == DER_OCTET_STRING && !der_take(&parameters, DER_OCTET_STRING, &enveloped.iv))
        return "its cipher's parameters cannot be read";
    if (!take_encrypted_content(arena, &info, &enveloped.content) || !der_at_end(&info))
        return "its encrypted content cannot be read";
    *ret_enveloped = enveloped;
    return NULL;
}
