/*
 * CBOR for attestation objects. libcbor's streaming decoder reads the heads and checks every length against what is there; its tree builder, which
 * allocates what a length claims, is not used. WebAuthn wants CTAP2's canonical form: no indefinite lengths and no tags.
 */
#include "attestation.h"

#include <cbor.h>

static void
set_number(void *context, enum item_kind kind, uint64_t number)
{
    struct item *item = context;

    item->kind = kind;
    item->number = number;
}

static void
set_content(void *context, enum item_kind kind, cbor_data data, size_t len)
{
    struct item *item = context;

    item->kind = kind;
    item->content = BYTES(data, len);
}

#define ON_NUMBER(name, kind, type)   \
    static void name(void *c, type n) \
    {                                 \
        set_number(c, kind, n);       \
    }
ON_NUMBER(on_uint8, ITEM_UNSIGNED, uint8_t)
ON_NUMBER(on_uint16, ITEM_UNSIGNED, uint16_t)
ON_NUMBER(on_uint32, ITEM_UNSIGNED, uint32_t)
ON_NUMBER(on_uint64, ITEM_UNSIGNED, uint64_t)
ON_NUMBER(on_negative8, ITEM_NEGATIVE, uint8_t)
ON_NUMBER(on_negative16, ITEM_NEGATIVE, uint16_t)
ON_NUMBER(on_negative32, ITEM_NEGATIVE, uint32_t)
ON_NUMBER(on_negative64, ITEM_NEGATIVE, uint64_t)
ON_NUMBER(on_array, ITEM_ARRAY, size_t)
ON_NUMBER(on_map, ITEM_MAP, size_t)

static void
on_bytes(void *context, cbor_data data, size_t len)
{
    set_content(context, ITEM_BYTES, data, len);
}

static void
on_text(void *context, cbor_data data, size_t len)
{
    set_content(context, ITEM_TEXT, data, len);
}

static void
on_simple(void *context)
{
    set_number(context, ITEM_SIMPLE, 0);
}

static void
on_bool(void *context, bool value)
{
    set_number(context, ITEM_SIMPLE, value);
}

struct cbor_reader
cbor_reader_of(struct bytes from)
{
    return (struct cbor_reader){.left = from, .items_left = CBOR_ITEMS_MAX};
}

bool
cbor_reader_at_end(const struct cbor_reader *in)
{
    return in->left.len == 0;
}

bool
cbor_reader_take(struct cbor_reader *in, struct item *ret_item)
{
    struct cbor_callbacks callbacks = cbor_empty_callbacks; /* what is not named here leaves ITEM_REFUSED */
    struct item item = {.kind = ITEM_REFUSED};

    callbacks.uint8 = on_uint8;
    callbacks.uint16 = on_uint16;
    callbacks.uint32 = on_uint32;
    callbacks.uint64 = on_uint64;
    callbacks.negint8 = on_negative8;
    callbacks.negint16 = on_negative16;
    callbacks.negint32 = on_negative32;
    callbacks.negint64 = on_negative64;
    callbacks.byte_string = on_bytes;
    callbacks.string = on_text;
    callbacks.array_start = on_array;
    callbacks.map_start = on_map;
    callbacks.undefined = on_simple;
    callbacks.null = on_simple;
    callbacks.boolean = on_bool;
    if (in->left.len == 0 || in->items_left == 0)
        return false;
    struct cbor_decoder_result result = cbor_stream_decode(in->left.at, in->left.len, &callbacks, &item);
    if (result.status != CBOR_DECODER_FINISHED || result.read == 0 || item.kind == ITEM_REFUSED)
        return false;
    in->left = BYTES(in->left.at + result.read, in->left.len - result.read);
    in->items_left--;
    *ret_item = item;
    return true;
}

static bool
skip(struct cbor_reader *in, int depth)
{
    struct item item;

    if (depth > CBOR_DEPTH_MAX || !cbor_reader_take(in, &item))
        return false;
    if (item.kind != ITEM_ARRAY && item.kind != ITEM_MAP)
        return true;
    if (item.number > CBOR_ITEMS_MAX)
        return false;
    for (uint64_t i = item.kind == ITEM_MAP ? 2 * item.number : item.number; i > 0; i--)
        if (!skip(in, depth + 1))
            return false;
    return true;
}

bool
cbor_reader_skip(struct cbor_reader *in)
{
    return skip(in, 1);
}
