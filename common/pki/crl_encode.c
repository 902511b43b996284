/* TBSCertList (RFC 5280 §5.1) from a plan: the signer encodes it from its own view of the revoked serials. Millions of entries are usual. */
#include "pki/crl.h"

#include <assert.h>

#include "pki/oid.h"

#define VERSION_2 1

static void
put_reason(struct buffer *out, int reason)
{
    uint8_t octet = (uint8_t)reason;

    if (reason == 0)
        return;
    assert(reason > 0 && reason <= 10);
    size_t extension = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_CRL_REASON);
    size_t value = der_open(out, DER_OCTET_STRING);
    der_put(out, DER_ENUMERATED, BYTES(&octet, 1));
    der_close(out, value);
    der_close(out, extension);
}

static void
put_invalidity(struct buffer *out, int64_t invalidity_s)
{
    if (invalidity_s == 0)
        return;
    size_t extension = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_INVALIDITY_DATE);
    size_t value = der_open(out, DER_OCTET_STRING);
    der_put_generalized_time(out, invalidity_s);
    der_close(out, value);
    der_close(out, extension);
}

static void
put_entry(struct buffer *out, const struct crl_entry *entry)
{
    size_t sequence = der_open(out, DER_SEQUENCE);

    der_put_unsigned(out, entry->serial);
    der_put_time(out, entry->revoked_at_s);
    if (entry->reason != 0 || entry->invalidity_s != 0) {
        size_t extensions = der_open(out, DER_SEQUENCE);
        put_reason(out, entry->reason);
        put_invalidity(out, entry->invalidity_s);
        der_close(out, extensions);
    }
    der_close(out, sequence);
}

static void
put_extensions(struct buffer *out, const struct crl_plan *plan)
{
    size_t explicit = der_open(out, DER_CONTEXT_CONSTRUCTED(0)), list = der_open(out, DER_SEQUENCE);

    size_t extension = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_AUTHORITY_KEY_IDENTIFIER);
    size_t value = der_open(out, DER_OCTET_STRING), inside = der_open(out, DER_SEQUENCE);
    der_put(out, DER_CONTEXT(0), plan->authority_key_id);
    der_close(out, inside);
    der_close(out, value);
    der_close(out, extension);

    extension = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_CRL_NUMBER);
    value = der_open(out, DER_OCTET_STRING);
    der_put_unsigned(out, plan->number);
    der_close(out, value);
    der_close(out, extension);

    der_close(out, list);
    der_close(out, explicit);
}

struct bytes
crl_encode_tbs(struct arena *arena, const struct crl_plan *plan)
{
    struct buffer out = buffer_in(arena);
    size_t tbs = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, VERSION_2);
    der_put_whole(&out, signature_algorithm_der(plan->algorithm));
    der_put_whole(&out, plan->issuer);
    der_put_time(&out, plan->this_update_s);
    der_put_time(&out, plan->next_update_s);
    /* RFC 5280 §5.1.2.6: the list is absent when nothing is revoked. */
    if (plan->entry_count > 0) {
        size_t entries = der_open(&out, DER_SEQUENCE);
        for (size_t i = 0; i < plan->entry_count; i++)
            put_entry(&out, &plan->entries[i]);
        der_close(&out, entries);
    }
    put_extensions(&out, plan);
    der_close(&out, tbs);
    return buffer_bytes(&out);
}
