/* The DER reader on anything: what it takes, the writer writes back octet by octet. */
#include <stdlib.h>

#include "pki/der.h"

#define CONSTRUCTED 0x20
#define DEPTH_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* Each reader of primitive values that accepts this one must be undone by its writer. */
static void
primitive(struct arena *arena, struct bytes whole)
{
    struct der as_int = der_of(whole), as_unsigned = der_of(whole), as_bool = der_of(whole), as_bits = der_of(whole), as_time = der_of(whole);
    struct buffer out = buffer_in(arena);
    struct bytes magnitude, octets;
    int64_t number, unix_s;
    bool flag;

    if (der_take_int(&as_int, &number))
        der_put_int(&out, number);
    else if (der_take_unsigned(&as_unsigned, &magnitude))
        der_put_unsigned(&out, magnitude);
    else if (der_take_bool(&as_bool, &flag))
        der_put_bool(&out, flag);
    else if (der_take_bits(&as_bits, &octets))
        der_put_bits(&out, octets);
    else if (der_take_time(&as_time, &unix_s) && der_peek(&(struct der){whole.at, whole.len}) == DER_UTC_TIME)
        der_put_time(&out, unix_s);
    else
        return;
    must(bytes_equal(buffer_bytes(&out), whole));
}

static void
copy(struct arena *arena, struct der in, struct buffer *out, int depth)
{
    unsigned tag;
    struct bytes whole;

    while (der_take_whole(&in, &tag, &whole)) {
        struct der again = der_of(whole), inside;
        struct bytes content;
        must(der_is_one_value(whole));
        primitive(arena, whole);
        if ((tag & CONSTRUCTED) && depth < DEPTH_MAX) {
            must(der_enter(&again, tag, &inside) && der_at_end(&again));
            size_t mark = der_open(out, tag);
            copy(arena, inside, out, depth + 1);
            der_close(out, mark);
        } else {
            must(der_take(&again, tag, &content) && der_at_end(&again));
            der_put(out, tag, content);
        }
    }
    buffer_append(out, in.at, in.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer out = buffer_in(arena);

    copy(arena, der_of(BYTES(data, size)), &out, 0);
    must(bytes_equal(buffer_bytes(&out), BYTES(data, size)));
    return 0;
}
