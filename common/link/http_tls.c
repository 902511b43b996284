/*
 * TLS for the server: a context from PEM files, exchanged when the files or the anchors for clients change, and what libh2o lacks around a handshake:
 * only HTTP/1.1 by ALPN, a time limit, and real alerts when it fails.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "http_internal.h"

#define ALERT_MAX 1024

/* Tells a changed file from the one that was loaded. */
struct stamp {
    struct timespec changed[3];
    ino_t inode[3];
    off_t size[3];
};

struct http_tls {
    const struct http_server_options *options;
    pthread_mutex_t mutex;
    SSL_CTX *context;
    pthread_mutex_t loading; /* held while a context is made; for the rest */
    X509_STORE *trusted;     /* NULL: nobody */
    struct stamp loaded;
    struct stamp refused;
};

/* Only while the handshake lasts. */
struct http_handshake {
    struct http_connection *connection;
    h2o_timeout_entry_t timeout;
    bool alert_written;
    size_t last_len;
    uint8_t last[ALERT_MAX]; /* what OpenSSL wrote last; libh2o drops it when the handshake fails */
};

/* ---- contexts ---------------------------------------------------------------------------------------------------------------------------- */

static struct stamp
stamp_of_files(const struct http_server_options *options)
{
    const char *const files[3] = {options->tls_cert_file, options->tls_key_file, options->tls_client_ca_file};
    struct stamp stamp;
    struct stat status;

    memset(&stamp, 0, sizeof stamp);
    for (size_t i = 0; i < 3; i++) {
        if (text_is_empty(files[i]) || stat(files[i], &status) != 0)
            continue;
        stamp.changed[i] = status.st_mtim;
        stamp.inode[i] = status.st_ino;
        stamp.size[i] = status.st_size;
    }
    return stamp;
}

static const char *
openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason == NULL ? "it cannot be read" : reason;
}

/* RFC 7301 §3.2: no_application_protocol when the client speaks none of ours. HTTP/2 must never be chosen: libh2o 2.2 has known holes there. */
static int
select_protocol(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_len, const unsigned char *offered, unsigned offered_len, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof ours - 1, offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_chosen = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void on_ssl_info(const SSL *ssl, int where, int value);

static void
set_policy(SSL_CTX *context, const struct http_server_options *options)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    /* Resumption by ticket only. Without an id context every resumption of a connection with a client certificate would fail. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)options->name, (unsigned)strnlen(options->name, SSL_MAX_SID_CTX_LENGTH));
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    SSL_CTX_set_info_callback(context, on_ssl_info);
}

/* Who comes with a certificate that is not taken may still have a password, or only want to read: that is for the handlers, which do not get the
 * certificate but hear why (http_tls_peer.c). Its key the client has in any case. */
static int
go_on(int taken, X509_STORE_CTX *verification)
{
    return 1;
}

/* No list of CAs goes out: devices whose certificate hangs by an intermediate that is not in it would keep theirs. No session is resumed: it would
 * outlive an anchor that is taken away, and has no chain. */
static void
ask_clients(SSL_CTX *context, X509_STORE *trusted)
{
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    if (trusted == NULL)
        return;
    SSL_CTX_set1_verify_cert_store(context, trusted);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, go_on);
}

static enum error
load_client_ca(struct request *rq, SSL_CTX *context, const struct http_server_options *options, X509_STORE *trusted)
{
    const char *file = options->tls_client_ca_file;

    if (options->tls_client_asked) {
        ask_clients(context, trusted);
        return OK;
    }
    if (text_is_empty(file) && options->tls_client_required)
        return fail(rq, ERR_INTERNAL, "%s asks each client for a certificate, but has no file with the CAs that it trusts", options->name);
    if (text_is_empty(file))
        return OK;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (names == NULL || SSL_CTX_load_verify_file(context, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return fail(rq, ERR_INTERNAL, "the client CA file %s: %s", file, openssl_reason());
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (options->tls_client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    return OK;
}

static enum error
load_context(struct request *rq, const struct http_server_options *options, X509_STORE *trusted, SSL_CTX **ret_context)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL)
        abort();
    ERR_clear_error();
    set_policy(context, options);
    /* Else OpenSSL asks the terminal for the password of an encrypted key, also at a reload: then a loop would wait for somebody to type. */
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)"");
    enum error error = load_client_ca(rq, context, options, trusted);
    if (error == OK && SSL_CTX_use_certificate_chain_file(context, options->tls_cert_file) != 1)
        error = fail(rq, ERR_INTERNAL, "the certificate file %s: %s", options->tls_cert_file, openssl_reason());
    if (error == OK && SSL_CTX_use_PrivateKey_file(context, options->tls_key_file, SSL_FILETYPE_PEM) != 1)
        error = fail(rq, ERR_INTERNAL, "the key file %s: %s", options->tls_key_file, openssl_reason());
    if (error != OK) {
        SSL_CTX_free(context);
        return error;
    }
    *ret_context = context;
    return OK;
}

enum error
http_tls_open(struct request *rq, const struct http_server_options *options, struct http_tls **ret_tls)
{
    struct stamp stamp = stamp_of_files(options);
    SSL_CTX *context;

    enum error error = load_context(rq, options, NULL, &context);
    if (error != OK)
        return error;
    struct http_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        abort();
    tls->options = options;
    tls->context = context;
    tls->loaded = stamp;
    pthread_mutex_init(&tls->mutex, NULL);
    pthread_mutex_init(&tls->loading, NULL);
    *ret_tls = tls;
    return OK;
}

void
http_tls_free(struct http_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    X509_STORE_free(tls->trusted);
    pthread_mutex_destroy(&tls->mutex);
    pthread_mutex_destroy(&tls->loading);
    free(tls);
}

static void
exchange_context(struct http_tls *tls, SSL_CTX *context)
{
    pthread_mutex_lock(&tls->mutex);
    SSL_CTX *before = tls->context;
    tls->context = context;
    pthread_mutex_unlock(&tls->mutex);
    SSL_CTX_free(before);
}

/* A certificate and its key are two files, seldom replaced in one instant: what does not fit yet is tried again, and said once. */
void
http_tls_reload_when_changed(struct http_tls *tls)
{
    struct stamp stamp = stamp_of_files(tls->options);
    SSL_CTX *context;

    AUTO_LOCK(&tls->loading);
    if (memcmp(&stamp, &tls->loaded, sizeof stamp) == 0)
        return;
    AUTO_STRUCT(request, rq) = request_new();
    if (load_context(rq, tls->options, tls->trusted, &context) != OK) {
        if (memcmp(&stamp, &tls->refused, sizeof stamp) != 0)
            log_line(LOG_LEVEL_WARNING, "http.tls_not_reloaded", "server", tls->options->name, "message", rq->failure.message, NULL);
        tls->refused = stamp;
        return;
    }
    exchange_context(tls, context);
    tls->loaded = stamp;
    log_line(LOG_LEVEL_INFO, "http.tls_reloaded", "server", tls->options->name, "certificate", tls->options->tls_cert_file, NULL);
}

static enum error
make_store(struct request *rq, const struct bytes *anchors, size_t count, X509_STORE **ret_store)
{
    X509_STORE *store = X509_STORE_new();

    for (size_t i = 0; i < count; i++) {
        const unsigned char *at = anchors[i].at;
        X509 *anchor = d2i_X509(NULL, &at, (long)anchors[i].len);
        bool added = anchor != NULL && store != NULL && X509_STORE_add_cert(store, anchor) == 1;
        X509_free(anchor);
        if (added)
            continue;
        X509_STORE_free(store);
        return fail(rq, ERR_BAD_REQUEST, "trust anchor %zu: %s", i + 1, openssl_reason());
    }
    *ret_store = store;
    return OK;
}

/* With files that do not fit each other at this moment the context comes with the next look at them: `loaded` is forgotten. */
enum error
http_tls_trust(struct request *rq, struct http_tls *tls, const struct bytes *anchors, size_t count)
{
    X509_STORE *store = NULL;
    SSL_CTX *context;

    ERR_clear_error();
    enum error error = count == 0 ? OK : make_store(rq, anchors, count, &store);
    if (error != OK)
        return error;
    AUTO_LOCK(&tls->loading);
    X509_STORE_free(tls->trusted);
    tls->trusted = store;
    AUTO_STRUCT(request, own) = request_new();
    if (load_context(own, tls->options, store, &context) == OK)
        exchange_context(tls, context);
    else
        memset(&tls->loaded, 0, sizeof tls->loaded);
    return OK;
}

/* libh2o makes the SSL only when the first bytes come: until then the connection itself must hold the context. */
static SSL_CTX *
take_context(struct http_tls *tls)
{
    AUTO_LOCK(&tls->mutex);
    SSL_CTX_up_ref(tls->context);
    return tls->context;
}

/* ---- handshakes -------------------------------------------------------------------------------------------------------------------------- */

static long
on_bio(BIO *bio, int operation, const char *bytes, size_t len, int argi, long argl, int result, size_t *processed)
{
    struct http_handshake *handshake = (struct http_handshake *)BIO_get_callback_arg(bio);

    if (operation != BIO_CB_WRITE || handshake == NULL)
        return result;
    handshake->last_len = len <= ALERT_MAX ? len : 0;
    memcpy(handshake->last, bytes, handshake->last_len);
    return result;
}

/* libh2o's BIO carries its socket, and the socket our connection: so the SSL finds its connection and the connection its SSL. */
static void
on_ssl_info(const SSL *ssl, int where, int value)
{
    BIO *bio = SSL_get_wbio(ssl);
    h2o_socket_t *socket = bio == NULL ? NULL : BIO_get_data(bio);

    if (socket == NULL)
        return;
    struct http_connection *connection = socket->on_close.data;
    if (connection->handshake == NULL)
        return;
    if ((where & SSL_CB_HANDSHAKE_START) != 0) {
        connection->ssl = (SSL *)ssl;
        BIO_set_callback_ex(bio, on_bio);
        BIO_set_callback_arg(bio, (char *)connection->handshake);
    }
    if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT)
        connection->handshake->alert_written = true;
}

static void
handshake_over(struct http_connection *connection)
{
    struct http_handshake *handshake = TAKE(connection->handshake);

    if (connection->ssl != NULL && SSL_get_wbio(connection->ssl) != NULL) {
        BIO_set_callback_ex(SSL_get_wbio(connection->ssl), NULL);
        BIO_set_callback_arg(SSL_get_wbio(connection->ssl), NULL);
    }
    if (h2o_timeout_is_linked(&handshake->timeout))
        h2o_timeout_unlink(&handshake->timeout);
    free(handshake);
}

static void
on_handshake_end(h2o_socket_t *socket, const char *problem)
{
    struct http_connection *connection = socket->on_close.data;
    const struct http_handshake *handshake = connection->handshake;
    struct timeval now;

    if (problem != NULL && handshake->alert_written && handshake->last_len > 0)
        (void)!send(h2o_socket_get_fd(socket), handshake->last, handshake->last_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    handshake_over(connection);
    socket->data = NULL;
    if (problem != NULL) {
        h2o_socket_close(socket);
        return;
    }
    gettimeofday(&now, NULL);
    h2o_http1_accept(&connection->loop->accept, socket, now);
}

static void
on_handshake_timeout(h2o_timeout_entry_t *entry)
{
    struct http_handshake *handshake = H2O_STRUCT_FROM_MEMBER(struct http_handshake, timeout, entry);
    struct http_connection *connection = handshake->connection;

    handshake_over(connection);
    h2o_socket_close(connection->socket);
}

void
http_tls_accept(struct http_connection *connection)
{
    struct http_loop *loop = connection->loop;
    struct http_handshake *handshake = calloc(1, sizeof *handshake);

    if (handshake == NULL)
        abort();
    handshake->connection = connection;
    handshake->timeout.cb = on_handshake_timeout;
    h2o_timeout_link(loop->context.loop, &loop->context.handshake_timeout, &handshake->timeout);
    connection->handshake = handshake;
    connection->tls_context = take_context(loop->server->tls);
    h2o_socket_ssl_handshake(connection->socket, connection->tls_context, NULL, on_handshake_end);
}

/* The SSL is gone already. */
void
http_tls_connection_closed(struct http_connection *connection)
{
    connection->ssl = NULL;
    if (connection->handshake != NULL)
        handshake_over(connection);
    SSL_CTX_free(connection->tls_context);
    if (connection->tls_peer_arena != NULL)
        arena_free(connection->tls_peer_arena);
}
