/* How we connect to NATS: what bus.c asks nats.c for, apart from the calls back. Each line here was measured or hurt once. */
#include "base/clock.h"
#include "base/text.h"
#include "link/bus_nats.h"

#define CONNECT_TIMEOUT_MS 2000
#define PING_INTERVAL_MS 5000
#define PINGS_UNANSWERED_MAX 2
#define RECONNECT_FIRST_MS 10
#define RECONNECT_MOST_MS 1000
#define SERVERS_MAX 16

static int64_t
reconnect_delay(natsConnection *nats, int attempts, void *context)
{
    int64_t delay = RECONNECT_FIRST_MS;
    for (int i = 1; i < attempts && delay < RECONNECT_MOST_MS; i++)
        delay *= 2;
    uint8_t jitter;
    random_bytes(&jitter, sizeof(jitter));
    return (delay < RECONNECT_MOST_MS ? delay : RECONNECT_MOST_MS) + delay * jitter / 1024;
}

static natsStatus
set_servers(struct request *rq, natsOptions *options, const char *url)
{
    size_t count;
    char **servers = text_split(rq->arena, url, ',', &count);
    if (count == 0 || count > SERVERS_MAX)
        return NATS_ADDRESS_MISSING;
    return natsOptions_SetServers(options, (const char **)servers, (int)count);
}

static natsStatus
set_tls(natsOptions *options, const struct bus_options *from)
{
    if (text_is_empty(from->ca_file))
        return NATS_OK;
    natsStatus status = natsOptions_SetSecure(options, true);
    if (status == NATS_OK)
        status = natsOptions_LoadCATrustedCertificates(options, from->ca_file);
    if (status == NATS_OK && !text_is_empty(from->cert_file))
        status = natsOptions_LoadCertificatesChain(options, from->cert_file, from->key_file);
    return status;
}

static natsStatus
set_behaviour(natsOptions *options, const char *name, const char *inbox_prefix)
{
    natsStatus status = natsOptions_SetName(options, name);
    if (status == NATS_OK)
        status = natsOptions_SetCustomInboxPrefix(options, inbox_prefix);
    /* Without it a publish, also of a reply, waits a millisecond for the flusher. */
    if (status == NATS_OK)
        status = natsOptions_SetSendAsap(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetFailRequestsOnDisconnect(options, true);
    /* One delivery thread for all subscriptions: whatever runs there only hands over. */
    if (status == NATS_OK)
        status = natsOptions_UseGlobalMessageDelivery(options, true);
    if (status == NATS_OK)
        status = natsOptions_SetTimeout(options, CONNECT_TIMEOUT_MS);
    if (status == NATS_OK)
        status = natsOptions_SetPingInterval(options, PING_INTERVAL_MS);
    if (status == NATS_OK)
        status = natsOptions_SetMaxPingsOut(options, PINGS_UNANSWERED_MAX);
    if (status == NATS_OK)
        status = natsOptions_SetMaxReconnect(options, -1);
    if (status == NATS_OK)
        status = natsOptions_SetCustomReconnectDelay(options, reconnect_delay, NULL);
    return status;
}

natsStatus
bus_make_options(struct request *rq, const struct bus_options *from, natsOptions **ret_options)
{
    AUTO(natsOptions, options) = NULL;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK)
        status = set_servers(rq, options, from->url);
    if (status == NATS_OK)
        status = set_tls(options, from);
    if (status == NATS_OK)
        status = set_behaviour(options, from->name, arena_format(rq->arena, "_INBOX.%s", from->name));
    if (status == NATS_OK)
        *ret_options = TAKE(options);
    return status;
}
