/* Attributes of requests that renew a certificate: found by type, and the one that asks for other names than the certificate has (RFC 6402 §2.8). */
#include "pki/csr.h"

#include "pki/name.h"
#include "pki/oid.h"

bool
csr_attribute(const struct csr *csr, struct bytes type, struct der *ret_values)
{
    struct der outer = der_of(csr->info), info, attributes;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_skip(&info) || !der_skip(&info) || !der_skip(&info) ||
        !der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &attributes))
        return false;
    while (!der_at_end(&attributes)) {
        struct der attribute, values;
        struct bytes found;
        if (!der_enter(&attributes, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &found) || !der_enter(&attribute, DER_SET, &values))
            return false;
        if (oid_is(found, type)) {
            *ret_values = values;
            return true;
        }
    }
    return false;
}

static enum error
change_names(struct request *rq, struct bytes names, struct csr *csr)
{
    struct buffer sequence = buffer_in(rq->arena);

    der_put(&sequence, DER_SEQUENCE, names); /* [1] IMPLICIT GeneralNames */
    return identifiers_decode(rq, buffer_bytes(&sequence), &csr->names, &csr->name_count);
}

/* ChangeSubjectName ::= SEQUENCE { subject Name OPTIONAL, subjectAlt [1] GeneralNames OPTIONAL }, at least one of them. */
enum error
csr_change_names(struct request *rq, struct csr *csr, bool *ret_changed)
{
    struct der values, change;
    struct bytes subject = BYTES_NONE, names = BYTES_NONE;

    *ret_changed = false;
    if (!csr_attribute(csr, OID_CHANGE_SUBJECT_NAME, &values))
        return OK;
    if (!der_enter(&values, DER_SEQUENCE, &change) || !der_at_end(&values) || der_at_end(&change) ||
        (der_peek(&change) == DER_SEQUENCE && !der_take_whole(&change, NULL, &subject)) ||
        (der_peek(&change) == DER_CONTEXT_CONSTRUCTED(1) && !der_take(&change, DER_CONTEXT_CONSTRUCTED(1), &names)) || !der_at_end(&change))
        return fail(rq, ERR_BAD_CSR, "the certification request is malformed: changeSubjectName");
    if (subject.at != NULL) {
        const char *fault = name_find_fault(rq->arena, subject);
        if (fault != NULL)
            return fail(rq, ERR_BAD_CSR, "the new subject of the certification request is not acceptable: %s", fault);
        csr->subject = subject;
    }
    *ret_changed = true;
    return names.at == NULL ? OK : change_names(rq, names, csr);
}
