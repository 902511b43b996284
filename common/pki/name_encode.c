/* Distinguished names that we make: of CAs, and of certificates whose template says what the subject is. */
#include "pki/name.h"

#include "base/text.h"
#include "pki/oid.h"

unsigned
name_string_type(struct bytes type)
{
    /* RFC 5280, appendix A.1: X520countryName and X520SerialNumber are PrintableString; EmailAddress and DomainComponent IA5String. */
    if (oid_is(type, OID_COUNTRY) || oid_is(type, OID_SERIAL_NUMBER))
        return DER_PRINTABLE_STRING;
    if (oid_is(type, OID_EMAIL_ADDRESS) || oid_is(type, OID_DOMAIN_COMPONENT))
        return DER_IA5_STRING;
    return DER_UTF8_STRING;
}

struct bytes
name_encode(struct arena *arena, const struct name_part *parts, size_t count)
{
    struct buffer out = buffer_in(arena);
    size_t name = der_open(&out, DER_SEQUENCE);

    for (size_t i = 0; i < count; i++) {
        if (text_is_empty(parts[i].value))
            continue;
        size_t rdn = der_open(&out, DER_SET), attribute = der_open(&out, DER_SEQUENCE);
        der_put_oid(&out, parts[i].type);
        der_put(&out, name_string_type(parts[i].type), bytes_of_text(parts[i].value));
        der_close(&out, attribute);
        der_close(&out, rdn);
    }
    der_close(&out, name);
    return buffer_bytes(&out);
}
