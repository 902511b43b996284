/*
 * tls-alpn-01 (RFC 8737, for addresses RFC 8738): a TLS handshake with the protocol "acme-tls/1", after which the certificate is looked at and the
 * connection closed. No octet of application data is sent or read.
 *
 * The address is chosen and checked as for http-01: resolved once, dialled as it was checked, looked at once more when the connection stands.
 */
#include "validator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define CONNECT_MS 5000
#define HANDSHAKE_MS 10000

static const uint8_t protocol[] = "\x0a"
                                  "acme-tls/1";
#define PROTOCOL_NAME_LEN (sizeof protocol - 2) /* without its length and without NUL */

DEFINE_AUTO(SSL_CTX, SSL_CTX_free);
DEFINE_AUTO(SSL, SSL_free);

/* RFC 8738 §6: an address is named by its reverse name, without final dot (RFC 1034 §5.2.1, RFC 3596 §2.5). */
const char *
tls_alpn_01_server_name(struct arena *arena, const struct identifier *name)
{
    struct address address;
    struct buffer text = buffer_in(arena);

    if (name->type != IDENTIFIER_IP || !address_parse(name->value, &address))
        return name->value;
    if (address_is_v4(&address)) {
        const uint8_t *v4 = address.octets + ADDRESS_V4_AT;
        return arena_format(arena, "%d.%d.%d.%d.in-addr.arpa", v4[3], v4[2], v4[1], v4[0]);
    }
    for (size_t i = sizeof address.octets; i-- > 0;)
        buffer_append_format(&text, "%x.%x.", address.octets[i] & 15u, (unsigned)address.octets[i] >> 4);
    buffer_append_text(&text, "ip6.arpa");
    return buffer_text(&text);
}

static socklen_t
socket_address(const struct address *address, int port, struct sockaddr_storage *ret_socket)
{
    struct sockaddr_in *v4 = (void *)ret_socket;
    struct sockaddr_in6 *v6 = (void *)ret_socket;

    memset(ret_socket, 0, sizeof *ret_socket);
    if (address_is_v4(address)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        memcpy(&v4->sin_addr, address->octets + ADDRESS_V4_AT, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    memcpy(&v6->sin6_addr, address->octets, 16);
    return sizeof *v6;
}

static bool
wait_until(int fd, short events, int64_t until_ms)
{
    struct pollfd wait = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ms = until_ms - clock_monotonic_ms();
        if (left_ms <= 0)
            return false;
        int ready = poll(&wait, 1, (int)left_ms);
        if (ready > 0)
            return true;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

/* NULL, or why there is no connection. */
static const char *
dial(struct request *rq, int fd, const struct address *address, int port)
{
    struct sockaddr_storage to;
    socklen_t len = socket_address(address, port, &to);
    int64_t until_ms = clock_monotonic_ms() + request_time_left_ms(rq, CONNECT_MS);
    int trouble = 0;
    socklen_t trouble_len = sizeof trouble;

    if (fd < 0)
        return "no socket can be had";
    if (connect(fd, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
        return arena_text(rq->arena, strerror(errno));
    if (!wait_until(fd, POLLOUT, until_ms))
        return "nobody answered in time";
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &trouble_len) != 0 || trouble != 0)
        return arena_text(rq->arena, strerror(trouble));
    return NULL;
}

/* What is really at the other end, as the rules see it. */
static bool
is_allowed_peer(int fd, const struct address_rules *rules)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    char text[INET6_ADDRSTRLEN];
    struct address address;

    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
        return false;
    const void *octets =
        peer.ss_family == AF_INET ? (const void *)&((struct sockaddr_in *)&peer)->sin_addr : &((struct sockaddr_in6 *)&peer)->sin6_addr;
    return inet_ntop(peer.ss_family, octets, text, sizeof text) != NULL && address_parse(text, &address) &&
           address_refusal(rules, &address, rules->tls_alpn01_port) == NULL;
}

/* The certificate is not verified against any root: it is self-signed, and what counts in it is checked by us. */
static SSL *
new_tls(int fd, const char *server_name)
{
    AUTO(SSL_CTX, context) = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        abort();
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    AUTO(SSL, tls) = SSL_new(context);
    /* RFC 8737 §3: TLS 1.2 at least. */
    if (tls == NULL || SSL_set_min_proto_version(tls, TLS1_2_VERSION) != 1 || SSL_set_alpn_protos(tls, protocol, sizeof protocol - 1) != 0 ||
        SSL_set_tlsext_host_name(tls, server_name) != 1 || SSL_set_fd(tls, fd) != 1)
        abort();
    return TAKE(tls);
}

static const char *
why_no_handshake(struct arena *arena)
{
    char text[200] = "";
    unsigned long code = ERR_peek_error();

    if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return code == 0 ? "the connection was closed in the handshake" : arena_text(arena, text);
}

/* NULL, or why there is no handshake. */
static const char *
shake_hands(struct request *rq, SSL *tls, int fd)
{
    int64_t until_ms = clock_monotonic_ms() + request_time_left_ms(rq, HANDSHAKE_MS);

    ERR_clear_error();
    for (;;) {
        int result = SSL_connect(tls);
        if (result == 1)
            return NULL;
        int wants = SSL_get_error(tls, result);
        if (wants != SSL_ERROR_WANT_READ && wants != SSL_ERROR_WANT_WRITE)
            return why_no_handshake(rq->arena);
        if (!wait_until(fd, wants == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ms))
            return "the handshake was not finished in time";
    }
}

static enum error
look_at(struct request *rq, const struct proof *proof, SSL *tls)
{
    const uint8_t *selected = NULL;
    unsigned len = 0;

    SSL_get0_alpn_selected(tls, &selected, &len);
    if (len != PROTOCOL_NAME_LEN || memcmp(selected, protocol + 1, len) != 0)
        return found(rq, "tls", "the server did not take the protocol acme-tls/1");
    X509 *certificate = SSL_get0_peer_certificate(tls);
    uint8_t *der = NULL;
    int der_len = certificate == NULL ? -1 : i2d_X509(certificate, &der);
    if (der_len <= 0)
        return found(rq, "tls", "the server showed no certificate");
    struct bytes copy = bytes_copy(rq->arena, BYTES(der, (size_t)der_len));
    OPENSSL_free(der);
    return tls_alpn_01_certificate_check(rq, copy, proof);
}

static enum error
ask(struct request *rq, struct proof *proof, int fd, const char *where)
{
    const char *server_name = tls_alpn_01_server_name(rq->arena, &proof->name);

    if (!is_allowed_peer(fd, &proof->rules))
        return found(rq, "connection", "%s is not asked", where);
    AUTO(SSL, tls) = new_tls(fd, server_name);
    const char *why = shake_hands(rq, tls, fd);
    if (why != NULL)
        return found(rq, "tls", "the TLS handshake with %s for %.253s: %s", where, server_name, why);
    if (look_at(rq, proof, tls) == OK)
        return OK;
    const char *problem = arena_text(rq->arena, rq->failure.reason), *what = arena_text(rq->arena, rq->failure.message);
    failure_clear(rq);
    return found(rq, problem, "%s: %s", where, what);
}

enum error
tls_alpn_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    int port = proof->rules.tls_alpn01_port;
    struct addresses chosen = {.count = 0};
    const char *why = NULL, *where = "";

    enum error error = choose_addresses(resolver, rq, &proof->rules, proof->name.value, port, &chosen);
    if (error)
        return error;
    for (size_t i = 0; i < chosen.count; i++) {
        AUTO_FD fd = socket(address_is_v4(&chosen.at[i]) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        where = arena_format(rq->arena, "%s port %d", proof_note_tried(rq, proof, &chosen.at[i]), port);
        why = dial(rq, fd, &chosen.at[i], port);
        if (why == NULL)
            return ask(rq, proof, fd, where);
    }
    return found(rq, "connection", "connecting to %s: %s", where, why);
}
