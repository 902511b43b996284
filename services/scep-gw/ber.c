/*
 * From BER, as BouncyCastle, Apple and old routers write it, to DER, which everything of ours reads: one pass, one copy, bounded depth. Primitive
 * values are copied as they are, so certificates and signed attributes, which are DER already, keep their octets.
 */
#include "scep.h"

#define DEPTH_MAX 32
#define CONSTRUCTED 0x20
#define TAG_NUMBER 0x1f
#define CONSTRUCTED_OCTET_STRING 0x24

struct header {
    unsigned tag;
    bool is_indefinite;
    size_t len;
};

static bool
take_header(struct bytes *in, struct header *ret_header)
{
    if (in->len < 2 || (in->at[0] & TAG_NUMBER) == TAG_NUMBER)
        return false;
    struct header header = {.tag = in->at[0], .len = in->at[1]};
    size_t octets = 0;
    if (header.len == 0x80) {
        header.is_indefinite = true;
        header.len = 0;
    } else if (header.len > 0x80) {
        octets = header.len & 0x7f;
        header.len = 0;
        if (octets > in->len - 2)
            return false;
        for (size_t i = 0; i < octets; i++) {
            if (header.len >> (8 * (sizeof header.len - 1)) != 0)
                return false;
            header.len = header.len << 8 | in->at[2 + i];
        }
    }
    *in = BYTES(in->at + 2 + octets, in->len - 2 - octets);
    if (header.len > in->len || (header.is_indefinite && (header.tag & CONSTRUCTED) == 0))
        return false;
    *ret_header = header;
    return true;
}

static bool copy_value(struct buffer *out, struct bytes *in, int depth, bool joining);

static bool
is_end_of_contents(struct bytes in)
{
    return in.len >= 2 && in.at[0] == 0 && in.at[1] == 0;
}

/* What is inside of a constructed value; of an octet string in pieces, only the pieces' octets (`joining`). */
static bool
copy_content(struct buffer *out, struct bytes *in, const struct header *header, int depth, bool joining)
{
    struct bytes inside = header->is_indefinite ? *in : BYTES(in->at, header->len);

    while (header->is_indefinite ? !is_end_of_contents(inside) : inside.len > 0)
        if (!copy_value(out, &inside, depth + 1, joining))
            return false;
    if (header->is_indefinite)
        *in = BYTES(inside.at + 2, inside.len - 2);
    else
        *in = BYTES(in->at + header->len, in->len - header->len);
    return true;
}

static bool
copy_value(struct buffer *out, struct bytes *in, int depth, bool joining)
{
    struct header header;

    if (depth > DEPTH_MAX || !take_header(in, &header) || header.tag == 0)
        return false;
    bool is_pieces = header.tag == CONSTRUCTED_OCTET_STRING;
    if (joining && header.tag != DER_OCTET_STRING && !is_pieces)
        return false;
    if ((header.tag & CONSTRUCTED) == 0) {
        if (joining)
            buffer_append(out, in->at, header.len);
        else
            der_put(out, header.tag, BYTES(in->at, header.len));
        *in = BYTES(in->at + header.len, in->len - header.len);
        return true;
    }
    if (joining)
        return copy_content(out, in, &header, depth, true);
    size_t mark = der_open(out, is_pieces ? DER_OCTET_STRING : header.tag);
    if (!copy_content(out, in, &header, depth, is_pieces))
        return false;
    der_close(out, mark);
    return true;
}

bool
ber_to_der(struct arena *arena, struct bytes ber, struct bytes *ret_der)
{
    struct buffer out = buffer_in(arena);

    if (!copy_value(&out, &ber, 0, false) || ber.len != 0)
        return false;
    *ret_der = buffer_bytes(&out);
    return true;
}
