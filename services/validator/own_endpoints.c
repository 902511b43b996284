/*
 * Where this suite itself listens: nobody may have a validator speak with its database, its bus or an admin listener. main.c gathers them at the
 * start, from the validator's own bus and admin settings and from SIGNET_VALIDATOR_DENY_ADDRESSES; address_rules.c refuses them, before and after
 * each connection and whoever redirected there.
 *
 * A name is not looked up, for it may have other addresses tomorrow: its port is refused at every address, as for '*' and for a listener on all
 * addresses. Little is lost, for only a handful of ports is ever dialled; where nothing at all would be left of one, the process does not start.
 */
#include "validator.h"

#include <string.h>

#include "base/config.h"

#define PORT_BUS 4222

static bool
is_unspecified(const struct address *address)
{
    struct address v4, v6;

    return (address_parse("0.0.0.0", &v4) && memcmp(&v4, address, sizeof v4) == 0) ||
           (address_parse("::", &v6) && memcmp(&v6, address, sizeof v6) == 0);
}

static bool
endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
    struct endpoint endpoint = {.anywhere = true};
    int64_t port = 0;
    char host[256];

    if (text_starts_with(text, "*:")) {
        if (!text_parse_number(text + strlen("*:"), 1, 65535, &port))
            return false;
        endpoint.port = (int)port;
    } else {
        if (!config_split_address(text, host, &endpoint.port) || endpoint.port == 0)
            return false;
        endpoint.anywhere = !address_parse(host, &endpoint.address) || is_unspecified(&endpoint.address);
    }
    *ret_endpoint = endpoint;
    return true;
}

static enum error
add(struct request *rq, const char *text, struct endpoints *endpoints)
{
    if (endpoints->count == ENDPOINTS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are more than %d addresses that are never asked; write *:5432 for a port of all addresses",
                    ENDPOINTS_MAX);
    if (!endpoint_parse(text, &endpoints->at[endpoints->count]))
        return fail(rq, ERR_BAD_REQUEST, "\"%.60s\" is not an address with a port; write 127.0.0.1:5432, [::1]:5432 or *:5432", text);
    endpoints->count++;
    return OK;
}

enum error
endpoints_add(struct request *rq, const char *text, struct endpoints *endpoints)
{
    size_t count;
    char **parts = text_split(rq->arena, text, ',', &count);
    enum error error = OK;

    for (size_t i = 0; i < count && !error; i++)
        error = add(rq, parts[i], endpoints);
    return error;
}

/* "tls://user:password@host:4222/": what is between; the port may be missing. */
static const char *
host_and_port(struct arena *arena, const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *from = scheme_end == NULL ? url : scheme_end + strlen("://");
    const char *text = arena_text_n(arena, from, strcspn(from, "/?#"));
    const char *user_end = strrchr(text, '@');

    if (user_end != NULL)
        text = user_end + 1;
    const char *colon = strrchr(text, ':');
    bool has_port = colon != NULL && strchr(colon, ']') == NULL;
    return has_port ? text : arena_format(arena, "%s:%d", text, PORT_BUS);
}

enum error
endpoints_add_bus(struct request *rq, const char *urls, struct endpoints *endpoints)
{
    size_t count;
    char **parts = text_split(rq->arena, urls, ',', &count);
    enum error error = OK;

    for (size_t i = 0; i < count && !error; i++)
        error = add(rq, host_and_port(rq->arena, parts[i]), endpoints);
    return error;
}

bool
endpoints_have(const struct endpoints *endpoints, const struct address *address, int port)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        const struct endpoint *one = &endpoints->at[i];
        if (one->port == port && (one->anywhere || memcmp(&one->address, address, sizeof *address) == 0))
            return true;
    }
    return false;
}

enum error
endpoints_check(struct request *rq, const struct endpoints *endpoints, const char *setting, int port)
{
    for (size_t i = 0; i < endpoints->count; i++)
        if (endpoints->at[i].anywhere && endpoints->at[i].port == port)
            return fail(
                rq, ERR_BAD_REQUEST,
                "%s: port %d is one where the suite itself listens, at an address that is not given as a number; nothing could be asked there",
                setting, port);
    return OK;
}
