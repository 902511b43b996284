/*
 * SignedData with one signer (RFC 5652 §5): the answers of SCEP. Attributes, then their signature, then the message. Called by sign_scep_reply.c with
 * the key of an RA, by sign_scep_next_ca.c with that of a CA.
 */
#include "signer.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* ---- attributes ---- */

/* SEQUENCE { type, SET { value } } */
void
cms_add_whole(struct cms_attributes *to, struct bytes type, struct bytes value)
{
    assert(to->count < CMS_ATTRIBUTES_MAX);
    struct buffer out = buffer_in(to->arena);
    size_t attribute = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, type);
    der_put(&out, DER_SET, value);
    der_close(&out, attribute);
    to->at[to->count++] = buffer_bytes(&out);
}

void
cms_add(struct cms_attributes *to, struct bytes type, unsigned tag, struct bytes content)
{
    struct buffer out = buffer_in(to->arena);

    der_put(&out, tag, content);
    cms_add_whole(to, type, buffer_bytes(&out));
}

struct cms_attributes
cms_attributes_of(struct arena *arena, struct bytes content, const EVP_MD *md)
{
    struct cms_attributes all = {.arena = arena};
    struct buffer oid = buffer_in(arena), now = buffer_in(arena);
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned int hash_len = 0;

    if (EVP_Digest(content.at, content.len, hash, &hash_len, md, NULL) != 1)
        abort();
    der_put_oid(&oid, OID_CMS_DATA);
    der_put_time(&now, clock_now_s());
    cms_add_whole(&all, OID_CMS_CONTENT_TYPE, buffer_bytes(&oid));
    cms_add_whole(&all, OID_CMS_SIGNING_TIME, buffer_bytes(&now));
    cms_add(&all, OID_CMS_MESSAGE_DIGEST, DER_OCTET_STRING, BYTES(hash, hash_len));
    return all;
}

/* The elements of the SET OF in DER's order (X.690 §11.6). */
static struct bytes
sorted(const struct cms_attributes *attributes)
{
    struct bytes at[CMS_ATTRIBUTES_MAX];
    struct buffer out = buffer_in(attributes->arena);

    memcpy(at, attributes->at, sizeof at);
    der_put_sorted(&out, at, attributes->count);
    return buffer_bytes(&out);
}

struct bytes
cms_to_sign(const struct cms_attributes *attributes)
{
    struct buffer set = buffer_in(attributes->arena);

    /* RFC 5652 §5.4: what is signed has the tag SET OF, not the [0] that stands in the message. */
    der_put(&set, DER_SET, sorted(attributes));
    return buffer_bytes(&set);
}

/* ---- the message ---- */

static void
put_algorithm(struct buffer *out, struct bytes oid)
{
    size_t algorithm = der_open(out, DER_SEQUENCE);

    der_put_oid(out, oid);
    der_put(out, DER_NULL, BYTES_NONE);
    der_close(out, algorithm);
}

/* Empty is not absent: what is absent, OpenSSL's PKCS7_verify looks for elsewhere, and its users (certmonger) then understand no refusal. */
static void
put_content(struct buffer *out, struct bytes content)
{
    size_t info = der_open(out, DER_SEQUENCE);

    der_put_oid(out, OID_CMS_DATA);
    size_t explicit = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
    der_put(out, DER_OCTET_STRING, content);
    der_close(out, explicit);
    der_close(out, info);
}

static void
put_signer(struct buffer *out, const struct cms_plan *plan, struct bytes signature)
{
    size_t info = der_open(out, DER_SEQUENCE);

    der_put_int(out, 1);
    size_t issuer_and_serial = der_open(out, DER_SEQUENCE);
    der_put_whole(out, plan->certificate->issuer);
    der_put_unsigned(out, plan->certificate->serial);
    der_close(out, issuer_and_serial);
    put_algorithm(out, plan->digest);
    der_put(out, DER_CONTEXT_CONSTRUCTED(0), sorted(plan->attributes));
    /* Old clients know RSA by no other name than rsaEncryption. */
    if (plan->certificate->key.type == KEY_RSA)
        put_algorithm(out, OID_RSA_ENCRYPTION);
    else
        der_put_whole(out, signature_algorithm_der(plan->algorithm));
    der_put(out, DER_OCTET_STRING, signature);
    der_close(out, info);
}

struct bytes
cms_join(struct arena *arena, const struct cms_plan *plan, struct bytes signature)
{
    struct buffer out = buffer_in(arena);
    size_t content_info = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, OID_CMS_SIGNED_DATA);
    size_t explicit = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), signed_data = der_open(&out, DER_SEQUENCE);
    der_put_int(&out, 1);
    size_t algorithms = der_open(&out, DER_SET);
    put_algorithm(&out, plan->digest);
    der_close(&out, algorithms);
    put_content(&out, plan->content);
    der_put(&out, DER_CONTEXT_CONSTRUCTED(0), plan->certificate->der);
    size_t signers = der_open(&out, DER_SET);
    put_signer(&out, plan, signature);
    der_close(&out, signers);
    der_close(&out, signed_data);
    der_close(&out, explicit);
    der_close(&out, content_info);
    return buffer_bytes(&out);
}
