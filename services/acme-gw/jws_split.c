/*
 * The three texts of a flattened JWS (RFC 7515 §7.2.2). Nearly all bodies are just these three members with nothing to unescape, and are taken apart
 * here, in place. Whatever is written in another way, well or badly, jws_parse leaves to jansson, which looks at each character of a body three
 * times.
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

/* NULL for other members, and for one that is there already. */
static struct bytes *
place_of(struct jws_texts *texts, struct bytes name)
{
    struct bytes *place = NULL;

    if (bytes_equal(name, bytes_of_text("protected")))
        place = &texts->header;
    else if (bytes_equal(name, bytes_of_text("payload")))
        place = &texts->payload;
    else if (bytes_equal(name, bytes_of_text("signature")))
        place = &texts->signature;
    return place != NULL && place->at == NULL ? place : NULL;
}

bool
jws_split(struct bytes body, struct jws_texts *ret_texts)
{
    struct jws_texts texts = {0};
    struct bytes name;

    for (size_t i = 0; i < 3; i++) {
        if (!take(&body, i == 0 ? '{' : ',') || !take_text(&body, &name) || !take(&body, ':'))
            return false;
        struct bytes *place = place_of(&texts, name);
        if (place == NULL || !take_text(&body, place))
            return false;
    }
    if (!take(&body, '}'))
        return false;
    skip_white_space(&body);
    if (body.len != 0)
        return false;
    *ret_texts = texts;
    return true;
}
