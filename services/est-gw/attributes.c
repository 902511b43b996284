/* Attributes of a CSR that only EST knows. csr_parse has gone over their shapes, and refused what comes twice; what is found here is a value set. */
#include "est.h"

bool
attribute_find(struct bytes csr_info, struct bytes oid, struct der *ret_values)
{
    struct der outer = der_of(csr_info), info, attributes;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_skip(&info) || !der_skip(&info) || !der_skip(&info) ||
        !der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &attributes))
        return false;
    while (!der_at_end(&attributes)) {
        struct der attribute, values;
        struct bytes type;
        if (!der_enter(&attributes, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &type) || !der_enter(&attribute, DER_SET, &values))
            return false;
        if (bytes_equal(type, oid)) {
            *ret_values = values;
            return true;
        }
    }
    return false;
}

enum error
attribute_text(struct request *rq, struct bytes csr_info, struct bytes oid, struct bytes *ret_text)
{
    struct der values;
    struct bytes text = BYTES_NONE;

    if (attribute_find(csr_info, oid, &values)) {
        unsigned tag = der_peek(&values);
        if ((tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING && tag != DER_IA5_STRING) || !der_take(&values, tag, &text) ||
            !der_at_end(&values) || text.len == 0)
            return refuse(rq, ERR_BAD_CSR, "attributes", "an attribute of the certification request is not one text");
    }
    *ret_text = text;
    return OK;
}
