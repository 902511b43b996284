/*
 * The three texts of a flattened JWS (RFC 7515 §7.2.2), and the four of a protected header that names an account (RFC 8555 §6.2). Nearly all bodies
 * and headers are just these members with nothing to unescape, and are taken apart here, in place. Whatever is written in another way, well or badly,
 * jws_parse leaves to jansson, which looks at each character three times.
 */
#include "acme.h"

/* RFC 8259 §2 */
static bool
is_white_space(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r' || octet == '\n';
}

static void
skip_white_space(struct bytes *rest)
{
    while (rest->len > 0 && is_white_space(rest->at[0]))
        *rest = BYTES(rest->at + 1, rest->len - 1);
}

/* With what blanks stand before it. */
static bool
take(struct bytes *rest, char character)
{
    skip_white_space(rest);
    if (rest->len == 0 || rest->at[0] != (uint8_t)character)
        return false;
    *rest = BYTES(rest->at + 1, rest->len - 1);
    return true;
}

static bool
take_text(struct bytes *rest, struct bytes *ret_text)
{
    size_t len = 0;

    if (!take(rest, '"'))
        return false;
    while (len < rest->len && rest->at[len] > 0x1f && rest->at[len] < 0x7f && rest->at[len] != '"' && rest->at[len] != '\\')
        len++;
    *ret_text = BYTES(rest->at, len);
    if (len == rest->len || rest->at[len] != '"')
        return false;
    *rest = BYTES(rest->at + len + 1, rest->len - len - 1);
    return true;
}

/* An object of these members, each a text and there once, in any order; the values in the order of their names. */
static bool
split(struct bytes object, const char *const *names, size_t count, struct bytes *values)
{
    struct bytes name;

    for (size_t i = 0; i < count; i++) {
        size_t place = 0;
        if (!take(&object, i == 0 ? '{' : ',') || !take_text(&object, &name) || !take(&object, ':'))
            return false;
        while (place < count && !bytes_equal(name, bytes_of_text(names[place])))
            place++;
        if (place == count || values[place].at != NULL || !take_text(&object, &values[place]))
            return false;
    }
    if (!take(&object, '}'))
        return false;
    skip_white_space(&object);
    return object.len == 0;
}

bool
jws_split(struct bytes body, struct jws_texts *ret_texts)
{
    static const char *const names[] = {"protected", "payload", "signature"};
    struct bytes values[3] = {BYTES_NONE, BYTES_NONE, BYTES_NONE};

    if (!split(body, names, 3, values))
        return false;
    *ret_texts = (struct jws_texts){.header = values[0], .payload = values[1], .signature = values[2]};
    return true;
}

bool
jws_split_header(struct arena *arena, struct bytes header, struct jws_header *ret_header)
{
    static const char *const names[] = {"alg", "nonce", "url", "kid"};
    struct bytes values[4] = {BYTES_NONE, BYTES_NONE, BYTES_NONE, BYTES_NONE};

    if (!split(header, names, 4, values))
        return false;
    *ret_header = (struct jws_header){.alg = bytes_text(arena, values[0]),
                                      .nonce = bytes_text(arena, values[1]),
                                      .url = bytes_text(arena, values[2]),
                                      .kid = bytes_text(arena, values[3]),
                                      .has_nonce = true,
                                      .has_kid = true};
    return true;
}
