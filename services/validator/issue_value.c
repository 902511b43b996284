/*
 * The text form that CAA's issue properties and dns-persist-01 records share (RFC 8659 §4.2). What does not match the grammar to the last octet is
 * refused as a whole: of a half-understood restriction nobody knows what it was to forbid.
 */
#include "validator.h"

#include <ctype.h>
#include <string.h>

static bool
is_alphanumeric(uint8_t octet)
{
    return octet < 0x80 && isalnum(octet);
}

static bool
is_value_octet(uint8_t octet)
{
    return octet >= 0x21 && octet <= 0x7e && octet != ';';
}

static void
skip_blanks(struct bytes *rest)
{
    while (rest->len > 0 && (rest->at[0] == ' ' || rest->at[0] == '\t'))
        *rest = BYTES(rest->at + 1, rest->len - 1);
}

static bool
skip_octet(struct bytes *rest, char octet)
{
    if (rest->len == 0 || rest->at[0] != (uint8_t)octet)
        return false;
    *rest = BYTES(rest->at + 1, rest->len - 1);
    return true;
}

static struct bytes
take(struct bytes *rest, size_t len)
{
    struct bytes taken = BYTES(rest->at, len);
    *rest = BYTES(rest->at + len, rest->len - len);
    return taken;
}

/* (ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT)); 0 when there is none. */
static size_t
label_length(struct bytes rest)
{
    size_t len = 0;

    while (len < rest.len && (is_alphanumeric(rest.at[len]) || (len > 0 && rest.at[len] == '-')))
        len++;
    return len > 0 && rest.at[len - 1] == '-' ? 0 : len;
}

static bool
take_issuer(struct bytes *rest, struct bytes *ret_issuer)
{
    struct bytes from = *rest;

    *ret_issuer = BYTES(from.at, 0);
    if (rest->len == 0 || rest->at[0] == ';')
        return true;
    do {
        size_t len = label_length(*rest);
        if (len == 0)
            return false;
        (void)take(rest, len);
    } while (skip_octet(rest, '.'));
    *ret_issuer = BYTES(from.at, from.len - rest->len);
    return true;
}

static bool
take_parameter(struct bytes *rest, struct issue_parameter *ret_parameter)
{
    size_t len = label_length(*rest);

    if (len == 0)
        return false;
    ret_parameter->tag = take(rest, len);
    skip_blanks(rest);
    if (!skip_octet(rest, '='))
        return false;
    skip_blanks(rest);
    for (len = 0; len < rest->len && is_value_octet(rest->at[len]); len++)
        continue;
    ret_parameter->value = take(rest, len);
    skip_blanks(rest);
    return true;
}

bool
issue_value_parse(struct bytes text, struct issue_value *ret_value)
{
    struct issue_value value = {.parameter_count = 0};
    struct bytes rest = text;

    skip_blanks(&rest);
    if (!take_issuer(&rest, &value.issuer))
        return false;
    skip_blanks(&rest);
    if (rest.len > 0 && !skip_octet(&rest, ';'))
        return false;
    skip_blanks(&rest);
    while (rest.len > 0) {
        if (value.parameter_count == ISSUE_PARAMETERS_MAX || !take_parameter(&rest, &value.parameters[value.parameter_count++]))
            return false;
        if (rest.len == 0)
            break;
        if (!skip_octet(&rest, ';'))
            return false;
        skip_blanks(&rest);
        if (rest.len == 0) /* a parameter must follow */
            return false;
    }
    *ret_value = value;
    return true;
}

size_t
issue_value_find(const struct issue_value *value, const char *tag, struct bytes *ret_value)
{
    size_t count = 0;

    for (size_t i = 0; i < value->parameter_count; i++) {
        const struct issue_parameter *one = &value->parameters[i];
        if (one->tag.len != strlen(tag) || strncasecmp((const char *)one->tag.at, tag, one->tag.len) != 0)
            continue;
        if (count++ == 0)
            *ret_value = one->value;
    }
    return count;
}
