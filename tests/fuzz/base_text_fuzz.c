/*
 * The small readers of outside texts in base: base64 in its three forms, addresses, times, hexadecimal, UTF-8, patterns, numbers, W3C traces.
 * Beside memory errors it looks for answers that contradict each other.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/request.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

/* What the strict form accepts has exactly one spelling, and the lenient form reads it the same. */
static void
base64(struct arena *arena, struct bytes input)
{
    struct bytes strict, lenient, standard, again;

    if (base64url_decode(arena, input, &strict)) {
        must(bytes_equal(bytes_of_text(base64url_encode(arena, strict)), input));
        must(base64url_decode_lenient(arena, input, &lenient) && bytes_equal(lenient, strict));
    }
    if (base64_decode(arena, input, &standard))
        must(base64_decode(arena, bytes_of_text(base64_encode(arena, standard)), &again) && bytes_equal(again, standard));
}

static void
time_and_address(struct arena *arena, const char *text)
{
    char host[256];
    int port;
    int64_t unix_s, again_s;

    /* An offset may carry a time out of the years that four digits can say. */
    if (clock_parse_rfc3339(text, &unix_s) == 0 && unix_s >= -62167219200 && unix_s <= 253402300799)
        must(clock_parse_rfc3339(clock_format_rfc3339(arena, unix_s), &again_s) == 0 && again_s == unix_s);
    if (config_split_address(text, host, &port))
        must(strlen(host) > 0 && strlen(host) < sizeof host && port >= 0 && port <= 65535);
}

static void
hex_and_number(struct arena *arena, const char *text)
{
    struct bytes octets, again;
    int64_t number;

    if (bytes_from_hex(arena, text, &octets))
        must(bytes_from_hex(arena, bytes_hex(arena, octets, ':'), &again) && bytes_equal(again, octets));
    if (text_parse_number(text, -1000, 1000, &number))
        must(number >= -1000 && number <= 1000);
}

/* The first line is the pattern, the rest the text. */
static void
pattern(struct arena *arena, const char *input)
{
    size_t len = strcspn(input, "\n");
    const char *first = arena_text_n(arena, input, len), *rest = input[len] == '\0' ? "" : input + len + 1;

    must(text_matches(first, rest) == text_matches(text_lower(arena, first), text_lower(arena, rest)));
    must(text_matches("*", rest));
    if (strchr(first, '*') == NULL)
        must(text_matches(first, rest) == text_equal_nocase(first, rest));
}

/* Whatever a stranger puts into a refusal or a trace header, what we pass on is clean. */
static void
request(const char *text)
{
    struct request rq;

    request_begin(&rq, "fuzz", "", text);
    must(strlen(rq.trace_id) == 32 && text_is_printable_ascii(bytes_of_text(request_traceparent(&rq))));
    must(fail(&rq, ERR_BAD_REQUEST, "%s", text) == ERR_BAD_REQUEST);
    must(text_is_utf8(bytes_of_text(rq.failure.message)) && strpbrk(rq.failure.message, "\r\n") == NULL);
    request_drop(&rq);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t count;
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *text = bytes_text(arena, BYTES(data, size));

    base64(arena, BYTES(data, size));
    time_and_address(arena, text);
    hex_and_number(arena, text);
    pattern(arena, text);
    request(text);
    if (text_is_utf8(BYTES(data, size)))
        must(strlen(text) == size);
    char **parts = text_split(arena, text, ',', &count);
    must(parts[count] == NULL);
    return 0;
}
