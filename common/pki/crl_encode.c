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

struct crl_writer
crl_begin(struct arena *arena, const struct crl_plan *plan)
{
    struct crl_writer writer = {.out = buffer_in(arena)};

    writer.tbs = der_open(&writer.out, DER_SEQUENCE);
    der_put_int(&writer.out, VERSION_2);
    der_put_whole(&writer.out, signature_algorithm_der(plan->algorithm));
    der_put_whole(&writer.out, plan->issuer);
    der_put_time(&writer.out, plan->this_update_s);
    der_put_time(&writer.out, plan->next_update_s);
    return writer;
}

void
crl_add(struct crl_writer *writer, const struct crl_entry *entry)
{
    /* RFC 5280 §5.1.2.6: the list is absent when nothing is revoked. */
    if (writer->entry_count++ == 0)
        writer->entries = der_open(&writer->out, DER_SEQUENCE);
    put_entry(&writer->out, entry);
}

struct bytes
crl_end(struct crl_writer *writer, const struct crl_plan *plan)
{
    if (writer->entry_count > 0)
        der_close(&writer->out, writer->entries);
    put_extensions(&writer->out, plan);
    der_close(&writer->out, writer->tbs);
    return buffer_bytes(&writer->out);
}

struct bytes
crl_encode_tbs(struct arena *arena, const struct crl_plan *plan)
{
    struct crl_writer writer = crl_begin(arena, plan);

    for (size_t i = 0; i < plan->entry_count; i++)
        crl_add(&writer, &plan->entries[i]);
    return crl_end(&writer, plan);
}
