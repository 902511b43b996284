/*
 * The to-be-signed certificate, field by field from a plan. The signer calls it with what template and intent say; no octet of a stranger's
 * request gets here but the public key and what was checked before.
 */
#include "pki/certificate.h"

#include <assert.h>

#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"

#define VERSION_3 2
#define KEY_USAGE_BITS 9
#define URI_NAME DER_CONTEXT(6)

/* Extension ::= SEQUENCE { extnID, critical DEFAULT FALSE, extnValue OCTET STRING }: two marks that are closed together. */
struct open_extension {
    size_t extension, value;
};

static struct open_extension
extension_open(struct buffer *out, struct bytes oid, bool critical)
{
    struct open_extension open = {.extension = der_open(out, DER_SEQUENCE)};

    der_put_oid(out, oid);
    if (critical)
        der_put_bool(out, true);
    open.value = der_open(out, DER_OCTET_STRING);
    return open;
}

static void
extension_close(struct buffer *out, struct open_extension open)
{
    der_close(out, open.value);
    der_close(out, open.extension);
}

static void
put_key_identifiers(struct buffer *out, const struct certificate_plan *plan)
{
    if (plan->authority_key_id.len > 0) {
        struct open_extension open = extension_open(out, OID_AUTHORITY_KEY_IDENTIFIER, false);
        size_t inside = der_open(out, DER_SEQUENCE);
        der_put(out, DER_CONTEXT(0), plan->authority_key_id);
        der_close(out, inside);
        extension_close(out, open);
    }
    if (plan->subject_key_id.len > 0) {
        struct open_extension open = extension_open(out, OID_SUBJECT_KEY_IDENTIFIER, false);
        der_put(out, DER_OCTET_STRING, plan->subject_key_id);
        extension_close(out, open);
    }
}

static void
put_basic_constraints(struct buffer *out, const struct certificate_plan *plan)
{
    if (!plan->is_ca && !plan->with_basic_constraints)
        return;
    struct open_extension open = extension_open(out, OID_BASIC_CONSTRAINTS, true);
    size_t inside = der_open(out, DER_SEQUENCE);
    if (plan->is_ca)
        der_put_bool(out, true);
    if (plan->is_ca && plan->path_length >= 0)
        der_put_int(out, plan->path_length);
    der_close(out, inside);
    extension_close(out, open);
}

static void
put_key_usage(struct buffer *out, const struct certificate_plan *plan)
{
    if (plan->key_usage == 0)
        return;
    assert(plan->key_usage >> KEY_USAGE_BITS == 0);
    struct open_extension open = extension_open(out, OID_KEY_USAGE, true);
    der_put_named_bits(out, plan->key_usage, KEY_USAGE_BITS);
    extension_close(out, open);
}

static void
put_extended_key_usage(struct buffer *out, const struct certificate_plan *plan)
{
    if (plan->extended_key_usage_count == 0)
        return;
    /* RFC 3161 §2.3: a time-stamping certificate has this purpose alone, and critical. */
    bool critical = plan->extended_key_usage_count == 1 && oid_is(plan->extended_key_usage[0], OID_TIME_STAMPING);
    struct open_extension open = extension_open(out, OID_EXTENDED_KEY_USAGE, critical);
    size_t inside = der_open(out, DER_SEQUENCE);
    for (size_t i = 0; i < plan->extended_key_usage_count; i++)
        der_put_oid(out, plan->extended_key_usage[i]);
    der_close(out, inside);
    extension_close(out, open);
}

static void
put_names(struct buffer *out, const struct certificate_plan *plan)
{
    if (plan->name_count == 0)
        return;
    /* RFC 5280 §4.2.1.6: critical where the subject is empty. */
    struct open_extension open = extension_open(out, OID_SUBJECT_ALT_NAME, name_is_empty(plan->subject));
    der_put_whole(out, identifiers_encode(out->arena, plan->names, plan->name_count));
    extension_close(out, open);
}

static void
put_access(struct buffer *out, struct bytes method, const char *url)
{
    if (text_is_empty(url))
        return;
    size_t description = der_open(out, DER_SEQUENCE);
    der_put_oid(out, method);
    der_put(out, URI_NAME, bytes_of_text(url));
    der_close(out, description);
}

static void
put_authority_info_access(struct buffer *out, const struct certificate_plan *plan)
{
    if (text_is_empty(plan->ocsp_url) && text_is_empty(plan->ca_issuers_url))
        return;
    struct open_extension open = extension_open(out, OID_AUTHORITY_INFO_ACCESS, false);
    size_t inside = der_open(out, DER_SEQUENCE);
    put_access(out, OID_AD_OCSP, plan->ocsp_url);
    put_access(out, OID_AD_CA_ISSUERS, plan->ca_issuers_url);
    der_close(out, inside);
    extension_close(out, open);
}

/* One DistributionPoint with distributionPoint [0] { fullName [0] { URI } } (RFC 5280 §4.2.1.13). */
static void
put_crl_distribution_points(struct buffer *out, const struct certificate_plan *plan)
{
    if (text_is_empty(plan->crl_url))
        return;
    struct open_extension open = extension_open(out, OID_CRL_DISTRIBUTION_POINTS, false);
    size_t points = der_open(out, DER_SEQUENCE), point = der_open(out, DER_SEQUENCE);
    size_t name = der_open(out, DER_CONTEXT_CONSTRUCTED(0)), full_name = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
    der_put(out, URI_NAME, bytes_of_text(plan->crl_url));
    der_close(out, full_name);
    der_close(out, name);
    der_close(out, point);
    der_close(out, points);
    extension_close(out, open);
}

static void
put_ocsp_nocheck(struct buffer *out, const struct certificate_plan *plan)
{
    if (!plan->ocsp_nocheck)
        return;
    struct open_extension open = extension_open(out, OID_OCSP_NOCHECK, false);
    der_put(out, DER_NULL, BYTES_NONE);
    extension_close(out, open);
}

struct bytes
certificate_encode_extensions(struct arena *arena, const struct certificate_plan *plan)
{
    struct buffer out = buffer_in(arena);
    size_t list = der_open(&out, DER_SEQUENCE);

    put_key_identifiers(&out, plan);
    put_basic_constraints(&out, plan);
    put_key_usage(&out, plan);
    put_extended_key_usage(&out, plan);
    put_names(&out, plan);
    put_authority_info_access(&out, plan);
    put_crl_distribution_points(&out, plan);
    put_ocsp_nocheck(&out, plan);
    if (out.len == list)
        return BYTES_NONE;
    der_close(&out, list);
    return buffer_bytes(&out);
}

struct bytes
certificate_encode_tbs(struct arena *arena, const struct certificate_plan *plan)
{
    struct buffer out = buffer_in(arena);
    struct bytes extensions = certificate_encode_extensions(arena, plan);
    size_t tbs = der_open(&out, DER_SEQUENCE);

    size_t version = der_open(&out, DER_CONTEXT_CONSTRUCTED(0));
    der_put_int(&out, VERSION_3);
    der_close(&out, version);
    der_put_unsigned(&out, plan->serial);
    der_put_whole(&out, signature_algorithm_der(plan->algorithm));
    der_put_whole(&out, plan->issuer);
    size_t validity = der_open(&out, DER_SEQUENCE);
    der_put_time(&out, plan->not_before_s);
    der_put_time(&out, plan->not_after_s);
    der_close(&out, validity);
    der_put_whole(&out, plan->subject);
    der_put_whole(&out, plan->spki);
    if (extensions.len > 0)
        der_put(&out, DER_CONTEXT_CONSTRUCTED(3), extensions);
    der_close(&out, tbs);
    return buffer_bytes(&out);
}

int
key_usage_bit(const char *name)
{
    static const char *const names[KEY_USAGE_BITS] = {"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
                                                      "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly"};

    for (int bit = 0; bit < KEY_USAGE_BITS; bit++)
        if (text_equal(names[bit], name))
            return bit;
    /* The newer name of the second one (X.509, RFC 5280 §4.2.1.3). */
    return text_equal(name, "contentCommitment") ? 1 : -1;
}
