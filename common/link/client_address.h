/*
 * Who asks, where a reverse proxy asks for him. The proxies that an operator names are believed what each has added to X-Forwarded-For about whoever
 * connected to it; what stands before that may have been made up. http_server.h does this for a server that is given proxies.
 *
 * Owner: the networks live in the arena of the request that parsed them. Threads: any; pure functions.
 */
#ifndef SIGNET_LINK_CLIENT_ADDRESS_H
#define SIGNET_LINK_CLIENT_ADDRESS_H

#include "base/network.h"
#include "base/request.h"

struct proxies {
    const struct network *networks;
    size_t count; /* 0: nobody is believed */
};

/* Of a setting of this name: CIDR, with commas. ERR_BAD_REQUEST. */
enum error proxies_parse(struct request *rq, const char *setting, const char *text, struct proxies *ret_proxies) MUST_CHECK;
/* Who stands behind the peer: `forwarded` is what X-Forwarded-For has, the nearest one last. The peer itself when it is no proxy, or names nobody. */
const char *client_address(struct arena *arena, const struct proxies *proxies, const char *peer, const char *forwarded);

#endif
