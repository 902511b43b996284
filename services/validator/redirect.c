/*
 * Where a stranger's web server sends us on to: http or https, a usual port, a host that is a name or an address. The address itself is judged later,
 * with all others, when the host has been resolved.
 */
#include "validator.h"

#include <curl/curl.h>
#include <string.h>

#define URL_MAX 2000
#define PORT_HTTP 80

DEFINE_AUTO(CURLU, curl_url_cleanup);

static const char *
part_of(struct arena *arena, CURLU *url, CURLUPart part)
{
    char *text = NULL;

    if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return "";
    const char *copy = arena_text(arena, text);
    curl_free(text);
    return copy;
}

static bool
is_literal_in_brackets(const char *host)
{
    return host[0] == '[' && text_ends_with(host, "]");
}

/* A name as strict as one that we would certify, or an address. */
static enum error
check_host(struct request *rq, const char *host, struct hop *hop)
{
    struct address address;
    struct identifier name;

    hop->host = is_literal_in_brackets(host) ? arena_text_n(rq->arena, host + 1, strlen(host) - 2) : host;
    if (address_parse(hop->host, &address))
        return OK;
    if (identifier_parse(rq, IDENTIFIER_DNS, hop->host, &name) == OK) {
        hop->host = name.value;
        return OK;
    }
    failure_clear(rq);
    return found(rq, "connection", "a redirect leads to the host \"%.100s\", which is neither a name nor an address", host);
}

enum error
redirect_parse(struct request *rq, const struct address_rules *rules, const char *location, struct hop *ret_hop)
{
    AUTO(CURLU, url) = curl_url();
    struct hop hop = {.url = location};
    int64_t port = 0;

    if (strlen(location) > URL_MAX || curl_url_set(url, CURLUPART_URL, location, 0) != CURLUE_OK)
        return found(rq, "connection", "a redirect is no URL, or longer than %d octets", URL_MAX);
    const char *scheme = part_of(rq->arena, url, CURLUPART_SCHEME);
    if (!text_equal(scheme, "http") && !text_equal(scheme, "https"))
        return found(rq, "connection", "a redirect leads to %.100s: only http and https are followed", location);
    if (!text_parse_number(part_of(rq->arena, url, CURLUPART_PORT), 1, 65535, &port) || !port_is_allowed(rules, (int)port))
        return found(rq, "connection", "a redirect leads to %.100s: only the usual ports are followed", location);
    /* Where http-01 is fetched from another port than 80, all the hosts of that network have their port 80 there. */
    hop.port = port == PORT_HTTP ? rules->http01_port : (int)port;
    enum error error = check_host(rq, part_of(rq->arena, url, CURLUPART_HOST), &hop);
    if (!error)
        *ret_hop = hop;
    return error;
}
