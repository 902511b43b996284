/* Extensions of X.509: the list, and the two values that both CSRs and certificates are asked about. */
#include "pki/certificate.h"

#include <limits.h>

#include "pki/oid.h"

#define KEY_USAGE_BITS 9

static bool
take_extension(struct der *in, struct extension *ret_extension)
{
    struct extension extension = {.critical = false};
    struct der inside;

    if (!der_enter(in, DER_SEQUENCE, &inside) || !der_take_oid(&inside, &extension.oid))
        return false;
    /* FALSE is the default and should be left out (X.690 §11.5); encoders in the field write it none the less. */
    if (der_peek(&inside) == DER_BOOLEAN && !der_take_bool(&inside, &extension.critical))
        return false;
    if (!der_take(&inside, DER_OCTET_STRING, &extension.value) || !der_at_end(&inside))
        return false;
    *ret_extension = extension;
    return true;
}

bool
extensions_take(struct der *in, struct extension *room, size_t most, size_t *ret_count)
{
    struct der list;
    size_t count = 0;

    if (!der_enter(in, DER_SEQUENCE, &list))
        return false;
    while (!der_at_end(&list)) {
        struct extension extension;
        /* RFC 5280 §4.2: not more than one instance of an extension. */
        if (count == most || !take_extension(&list, &extension) || extension_find(room, count, extension.oid) != NULL)
            return false;
        room[count++] = extension;
    }
    *ret_count = count;
    return true;
}

const struct extension *
extension_find(const struct extension *extensions, size_t count, struct bytes oid)
{
    for (size_t i = 0; i < count; i++)
        if (oid_is(extensions[i].oid, oid))
            return &extensions[i];
    return NULL;
}

bool
basic_constraints_decode(struct bytes value, bool *ret_is_ca, int *ret_path_length)
{
    struct der outer = der_of(value), inside;
    bool is_ca = false;
    int64_t path_length = -1;

    if (!der_enter(&outer, DER_SEQUENCE, &inside) || !der_at_end(&outer))
        return false;
    if (der_peek(&inside) == DER_BOOLEAN && !der_take_bool(&inside, &is_ca))
        return false;
    if (der_peek(&inside) == DER_INTEGER && (!der_take_int(&inside, &path_length) || path_length < 0 || path_length > INT_MAX))
        return false;
    if (!der_at_end(&inside))
        return false;
    *ret_is_ca = is_ca;
    *ret_path_length = (int)path_length;
    return true;
}

bool
key_usage_decode(struct bytes value, unsigned *ret_bits)
{
    struct der in = der_of(value);
    struct bytes content;
    unsigned bits = 0;

    if (!der_take(&in, DER_BIT_STRING, &content) || !der_at_end(&in) || content.len < 1 || content.len > 3 || content.at[0] > 7)
        return false;
    if (content.len == 1 && content.at[0] != 0)
        return false;
    for (size_t bit = 0; bit < 8 * (content.len - 1); bit++) {
        if ((content.at[1 + bit / 8] & 0x80 >> bit % 8) == 0)
            continue;
        if (bit >= KEY_USAGE_BITS)
            return false;
        bits |= 1u << bit;
    }
    *ret_bits = bits;
    return true;
}
