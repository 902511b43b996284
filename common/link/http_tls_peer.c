/*
 * What a handshake was, for the handlers: who the client is and what binds a request to this very connection. Read once per connection, on its loop,
 * when its first request has come; workers get a copy, because the SSL is the loop's.
 */
#include <openssl/x509.h>

#include "http_internal.h"

#define FINISHED_MAX 64
#define EXPORTER_LEN 32 /* RFC 9266 §2 */
#define CHAIN_MAX 8     /* longer chains are of nobody's use here */

static struct bytes
encode(struct arena *arena, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    struct bytes copy = len > 0 ? bytes_copy(arena, BYTES(der, len)) : BYTES_NONE;

    OPENSSL_free(der);
    return copy;
}

/* The server's list begins behind the client's own certificate. */
static void
read_chain(struct arena *arena, SSL *ssl, struct http_tls_peer *peer)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    int count = chain == NULL ? 0 : sk_X509_num(chain);

    peer->chain = arena_array(arena, CHAIN_MAX, sizeof *peer->chain);
    for (int i = 0; i < count && i < CHAIN_MAX; i++)
        peer->chain[peer->chain_count++] = encode(arena, sk_X509_value(chain, i));
}

/* RFC 5929 §3.1: the first Finished message of the last handshake, which is the client's unless a session was resumed. */
static struct bytes
read_unique(struct arena *arena, SSL *ssl)
{
    uint8_t finished[FINISHED_MAX];
    size_t len = SSL_session_reused(ssl) ? SSL_get_finished(ssl, finished, sizeof finished) : SSL_get_peer_finished(ssl, finished, sizeof finished);

    return bytes_copy(arena, BYTES(finished, len));
}

static struct bytes
read_exporter(struct arena *arena, SSL *ssl)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    uint8_t value[EXPORTER_LEN];

    if (SSL_export_keying_material(ssl, value, sizeof value, label, sizeof label - 1, (const unsigned char *)"", 0, 1) != 1)
        return BYTES_NONE;
    return bytes_copy(arena, BYTES(value, sizeof value));
}

static void
read_bindings(struct arena *arena, SSL *ssl, struct http_tls_peer *peer)
{
    read_chain(arena, ssl, peer);
    if (peer->version == TLS1_2_VERSION)
        peer->unique = read_unique(arena, ssl);
    else
        peer->exporter = read_exporter(arena, ssl);
}

/* Most servers ask for no certificate, and their connections get no arena. */
static void
read_peer(struct http_connection *connection)
{
    struct http_tls_peer *peer = &connection->tls_peer;
    SSL *ssl = connection->ssl;
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    bool verified = certificate != NULL && SSL_get_verify_result(ssl) == X509_V_OK;
    bool asked = connection->loop->server->options.tls_client_asked;

    connection->tls_peer_read = true;
    peer->version = SSL_version(ssl);
    if (!verified && !asked)
        return;
    connection->tls_peer_arena = arena_new();
    if (verified)
        peer->certificate = encode(connection->tls_peer_arena, certificate);
    else if (certificate != NULL)
        peer->refusal = X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    if (asked)
        read_bindings(connection->tls_peer_arena, ssl, peer);
}

const struct http_tls_peer *
http_tls_peer_of(struct http_connection *connection)
{
    if (connection->tls_context == NULL)
        return NULL;
    if (!connection->tls_peer_read && connection->ssl != NULL)
        read_peer(connection);
    return &connection->tls_peer;
}

const struct http_tls_peer *
http_tls_peer_copy(struct arena *arena, const struct http_tls_peer *peer)
{
    struct http_tls_peer *copy = arena_alloc(arena, sizeof *copy);

    *copy = *peer;
    copy->certificate = peer->certificate.len == 0 ? BYTES_NONE : bytes_copy(arena, peer->certificate);
    copy->chain = arena_array(arena, peer->chain_count, sizeof *copy->chain);
    for (size_t i = 0; i < peer->chain_count; i++)
        copy->chain[i] = bytes_copy(arena, peer->chain[i]);
    copy->unique = bytes_copy(arena, peer->unique);
    copy->exporter = bytes_copy(arena, peer->exporter);
    return copy;
}

/* ---- what handlers ask ------------------------------------------------------------------------------------------------------------------- */

static const struct http_tls_peer *
peer_of(const struct http_exchange *x)
{
    static const struct http_tls_peer nobody;
    const struct http_work *work = x->internal;

    return work->tls_peer == NULL ? &nobody : work->tls_peer;
}

int
http_tls_version(const struct http_exchange *x)
{
    return peer_of(x)->version;
}

const char *
http_client_refusal(const struct http_exchange *x)
{
    return peer_of(x)->refusal;
}

const struct bytes *
http_client_chain(const struct http_exchange *x, size_t *ret_count)
{
    *ret_count = peer_of(x)->chain_count;
    return peer_of(x)->chain;
}

struct bytes
http_tls_unique(const struct http_exchange *x)
{
    return peer_of(x)->unique;
}

struct bytes
http_tls_exporter(const struct http_exchange *x)
{
    return peer_of(x)->exporter;
}
