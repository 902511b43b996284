/*
 * Reads a request's head once more, as it came in, because h2o lets pass what two servers in a row could understand differently: a missing or
 * second Host, a second or contradicting length, folded lines, bare line feeds. A proxy before us and we must see the same request
 * (RFC 9112 §11.2), so all of these are refused and the connection is closed. h2o has already parsed the head: it ends in an empty line.
 */
#include <string.h>
#include <strings.h>

#include "http_internal.h"

struct counted {
    int hosts, lengths, encodings;
};

static bool
is_named(struct bytes line, const char *name)
{
    size_t len = strlen(name);
    return line.len > len && line.at[len] == ':' && strncasecmp((const char *)line.at, name, len) == 0;
}

static const char *
check_line(struct bytes line, struct counted *counted)
{
    if (line.at[0] == ' ' || line.at[0] == '\t')
        return "a header is folded over two lines (RFC 9112 §5.2)";
    if (is_named(line, "host") && ++counted->hosts > 1)
        return "there are two Host headers (RFC 9112 §3.2)";
    if (is_named(line, "content-length") && ++counted->lengths > 1)
        return "there are two Content-Length headers (RFC 9112 §6.3)";
    if (is_named(line, "transfer-encoding") && ++counted->encodings > 1)
        return "there are two Transfer-Encoding headers (RFC 9112 §6.1)";
    return NULL;
}

static const char *
check_counts(const struct counted *counted, bool is_http_1_0)
{
    if (counted->lengths > 0 && counted->encodings > 0)
        return "there are both a Content-Length and a Transfer-Encoding header (RFC 9112 §6.1)";
    if (counted->hosts == 0 && !is_http_1_0)
        return "the Host header is missing (RFC 9112 §3.2)";
    if (counted->encodings > 0 && is_http_1_0)
        return "Transfer-Encoding does not exist in HTTP/1.0 (RFC 9112 §6.1)";
    return NULL;
}

const char *
http_head_problem(struct bytes head, bool is_http_1_0, int *ret_status)
{
    struct counted counted = {0};
    bool in_headers = false;
    size_t at = 0;

    *ret_status = 400;
    while (at < head.len) {
        const uint8_t *feed = memchr(head.at + at, '\n', head.len - at);
        if (feed == NULL)
            return "the head has no end";
        struct bytes line = BYTES(head.at + at, (size_t)(feed - head.at) - at);
        at += line.len + 1;
        if (at > HTTP_HEAD_MAX) {
            *ret_status = 431;
            return "the request line and headers are too long";
        }
        if (line.len == 0 || line.at[line.len - 1] != '\r')
            return "a line of the head does not end in CR LF (RFC 9112 §2.2)";
        line.len--;
        if (line.len == 0 && !in_headers)
            continue; /* RFC 9112 §2.2: an empty line before the request line is ignored */
        if (line.len == 0)
            return check_counts(&counted, is_http_1_0);
        const char *problem = in_headers ? check_line(line, &counted) : NULL;
        if (problem != NULL)
            return problem;
        in_headers = true;
    }
    return "the head has no end";
}
