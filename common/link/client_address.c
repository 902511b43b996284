/* Who asks, where a reverse proxy asks for him. Called by http_exchange.c for each request whose peer may be one. */
#include "link/client_address.h"

#include "base/text.h"

enum error
proxies_parse(struct request *rq, const char *setting, const char *text, struct proxies *ret_proxies)
{
    size_t count;
    char **texts = text_split(rq->arena, text, ',', &count);
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);

    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" is not a network", setting, texts[i]);
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
