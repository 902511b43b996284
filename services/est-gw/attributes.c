/* Attributes of a CSR that only EST knows. csr_parse has gone over their shapes, and refused what comes twice; of one text the shape is checked here.
 */
#include "est.h"

enum error
attribute_text(struct request *rq, const struct csr *csr, struct bytes oid, struct bytes *ret_text)
{
    struct der values;
    struct bytes text = BYTES_NONE;

    if (csr_attribute(csr, oid, &values)) {
        unsigned tag = der_peek(&values);
        if ((tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING && tag != DER_IA5_STRING) || !der_take(&values, tag, &text) ||
            !der_at_end(&values) || text.len == 0)
            return refuse(rq, ERR_BAD_CSR, "attributes", "an attribute of the certification request is not one text");
    }
    *ret_text = text;
    return OK;
}
