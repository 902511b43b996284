/*
 * Who asks, where a reverse proxy asks for him. The proxies of SIGNET_ACME_PROXY_NETWORKS are believed what each has added to X-Forwarded-For about
 * whoever connected to it; what stands before that may have been made up. From here on limits, the networks of policies and audit records mean the
 * client and not the proxy.
 */
#include "acme.h"

enum error
proxies_parse(struct request *rq, const char *text, struct proxies *ret_proxies)
{
    size_t count;
    char **texts = text_split(rq->arena, text, ',', &count);
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);

    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_PROXY_NETWORKS: \"%.60s\" is not a network", texts[i]);
    *ret_proxies = (struct proxies){networks, count};
    return OK;
}

const char *
client_address(struct arena *arena, const struct proxies *proxies, const char *peer, const char *forwarded)
{
    size_t count;
    char **hops = text_split(arena, forwarded, ',', &count);
    char text[ADDRESS_TEXT_MAX];
    struct address address;

    /* From the end: the nearest proxy has written the last one. */
    while (count > 0 && networks_cover_text(proxies->networks, proxies->count, peer) && address_parse(hops[count - 1], &address)) {
        address_format(&address, text);
        peer = arena_text(arena, text);
        count--;
    }
    return peer;
}

enum error
admit_client(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    const char *forwarded = acme->proxies.count == 0 ? NULL : http_headers_in(x, "X-Forwarded-For");

    if (forwarded != NULL) {
        x->peer = client_address(x->rq.arena, &acme->proxies, x->peer, forwarded);
        x->rq.caller = x->peer;
    }
    return limit_request(acme, x);
}
