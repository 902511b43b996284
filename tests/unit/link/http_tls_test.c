/* TLS against a real server: versions, protocols, client certificates, alerts, resumption, changed files, slow clients. */
#include "unit/link/http_fixture.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include "kit/pki_kit.h"

#define LARGE (16 * 1024 * 1024)

DEFINE_AUTO(BIO, BIO_free_all);
DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);
DEFINE_AUTO(SSL_CTX, SSL_CTX_free);
DEFINE_AUTO(SSL_SESSION, SSL_SESSION_free);
DEFINE_AUTO(X509, X509_free);

static struct arena *arena;
static char directory[] = "/tmp/http_tls_test.XXXXXX";
static const char *ca_file, *cert_file, *key_file;
static struct bytes client_der, stranger_der;
static EVP_PKEY *ca_key, *client_key;
static struct bytes ca_der;
static char large[LARGE];
static atomic_int released;

/* ---- files --------------------------------------------------------------------------------------------------------------------------- */

static void
write_file(const char *path, const char *text)
{
    char *beside = arena_format(arena, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(rename(beside, path), 0);
}

static const char *
certificate_pem(struct bytes der)
{
    AUTO(BIO, bio) = BIO_new(BIO_s_mem());
    const unsigned char *at = der.at;
    AUTO(X509, certificate) = d2i_X509(NULL, &at, (long)der.len);
    char *text;

    assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
    long len = BIO_get_mem_data(bio, &text);
    return arena_text_n(arena, text, (size_t)len);
}

static struct bytes
issue(const char *subject, EVP_PKEY *key)
{
    return kit_certificate(
        arena,
        &(struct kit_certificate){.key = key, .subject = subject, .issuer_der = ca_der, .issuer_key = ca_key, .names = "DNS:localhost,IP:127.0.0.1"});
}

/* A new pair of certificate and key in the server's files. */
static void
write_server_pair(const char *subject)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");

    write_file(cert_file, certificate_pem(issue(subject, key)));
    write_file(key_file, kit_private_pem(arena, key));
}

static int
make_files(void **state)
{
    memset(large, 'L', sizeof large);
    arena = arena_new();
    assert_non_null(mkdtemp(directory));
    ca_file = arena_format(arena, "%s/ca.pem", directory);
    cert_file = arena_format(arena, "%s/cert.pem", directory);
    key_file = arena_format(arena, "%s/key.pem", directory);
    ca_key = kit_key("p256");
    ca_der = kit_certificate(arena, &(struct kit_certificate){.key = ca_key, .subject = "/CN=Test CA", .is_ca = true, .key_usage = "keyCertSign"});
    write_file(ca_file, certificate_pem(ca_der));
    client_key = kit_key("p256");
    client_der = issue("/CN=client", client_key);
    stranger_der = kit_certificate(arena, &(struct kit_certificate){.key = client_key, .subject = "/CN=stranger"});
    return 0;
}

static int
remove_files(void **state)
{
    unlink(ca_file);
    unlink(cert_file);
    unlink(key_file);
    rmdir(directory);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(client_key);
    arena_free(arena);
    return 0;
}

/* ---- server -------------------------------------------------------------------------------------------------------------------------- */

static enum error
who(void *context, struct http_exchange *x)
{
    http_header_out(x, "X-Tls", "%s", x->tls ? "yes" : "no");
    http_header_out(x, "X-Peer", "%s", x->peer);
    return http_answer(x, 200, "application/octet-stream", x->client_cert);
}

static void
count_release(void *held)
{
    atomic_fetch_add(&released, 1);
}

static enum error
big(void *context, struct http_exchange *x)
{
    x->answer.held = &released;
    x->answer.release = count_release;
    return http_answer(x, 200, "application/octet-stream", BYTES(large, sizeof large));
}

/* "<version> <unique> <exporter> <octets of the chain…>", in hex. */
static enum error
binding(void *context, struct http_exchange *x)
{
    struct buffer text = buffer_in(x->rq.arena);
    size_t count;
    const struct bytes *chain = http_client_chain(x, &count);

    buffer_append_format(&text, "%x %s %s", (unsigned)http_tls_version(x), bytes_hex(x->rq.arena, http_tls_unique(x), 0),
                         bytes_hex(x->rq.arena, http_tls_exporter(x), 0));
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&text, " %zu", chain[i].len);
    return http_answer_text(x, 200, "text/plain", buffer_text(&text));
}

static enum error
refusal(void *context, struct http_exchange *x)
{
    const char *why = http_client_refusal(x);
    return http_answer_text(x, 200, "text/plain", why == NULL ? "none" : why);
}

static const struct http_route routes[] = {
    {"GET", "/refusal", refusal, ON_LOOP}, {"GET", "/binding", binding, ON_LOOP},  {"GET", "/binding/worker", binding, ON_WORKER},
    {"GET", "/who", who, ON_LOOP},         {"GET", "/who/worker", who, ON_WORKER}, {"GET", "/big", big, ON_LOOP},
};

static void
open_tls(bool asks, bool requires)
{
    atomic_store(&released, 0);
    write_server_pair("/CN=first");
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .loops = 2,
                                              .workers = 1,
                                              .request_timeout_ms = 3000,
                                              .write_timeout_ms = 1000,
                                              .tls_cert_file = cert_file,
                                              .tls_key_file = key_file,
                                              .tls_client_ca_file = asks ? ca_file : "",
                                              .tls_client_required = requires});
}

static int
start(void **state)
{
    open_tls(false, false);
    return 0;
}

static int
start_asking(void **state)
{
    open_tls(true, false);
    return 0;
}

/* Asks whoever comes, and trusts nobody yet. */
static int
start_trusting_by_call(void **state)
{
    atomic_store(&released, 0);
    write_server_pair("/CN=first");
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .loops = 2,
                                              .workers = 1,
                                              .tls_cert_file = cert_file,
                                              .tls_key_file = key_file,
                                              .tls_client_asked = true});
    return 0;
}

static int
start_behind_a_proxy(void **state)
{
    static struct network loopback;

    assert_true(network_parse("127.0.0.0/8", &loopback));
    write_server_pair("/CN=first");
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .loops = 2,
                                              .workers = 1,
                                              .proxies = {&loopback, 1},
                                              .tls_cert_file = cert_file,
                                              .tls_key_file = key_file,
                                              .tls_client_asked = true});
    return 0;
}

static int
start_requiring(void **state)
{
    open_tls(true, true);
    return 0;
}

/* ---- client -------------------------------------------------------------------------------------------------------------------------- */

static SSL_CTX *
client_context(int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    assert_non_null(context);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    assert_int_equal(SSL_CTX_load_verify_file(context, ca_file), 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

static void
use_certificate(SSL_CTX *context, struct bytes der)
{
    assert_int_equal(SSL_CTX_use_certificate_ASN1(context, (int)der.len, der.at), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, client_key), 1);
}

/* What came of one request: the status, or 0 and the reason of the alert that came instead. */
static int
status_or_alert(SSL_CTX *context, int *ret_alert)
{
    ERR_clear_error();
    *ret_alert = 0;
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);
    /* In TLS 1.3 the client is done before the server has seen its certificate. */
    int status = client == NULL ? 0 : http_kit_get(client, "/who")->status;
    if (status == 0)
        *ret_alert = ERR_GET_REASON(ERR_peek_error());
    http_kit_free(client);
    return status;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* ---- tests --------------------------------------------------------------------------------------------------------------------------- */

static void
serves_tls_1_2_and_1_3(void **state)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        assert_non_null(client);
        assert_int_equal(SSL_version(http_kit_ssl(client)), versions[i]);
        const struct http_kit_reply *reply = http_kit_get(client, "/who");
        assert_int_equal(reply->status, 200);
        assert_string_equal(http_kit_header(reply, "X-Tls"), "yes");
        assert_int_equal(reply->body_len, 0);
        assert_int_equal(http_kit_get(client, "/who/worker")->status, 200);
        http_kit_free(client);
    }
}

static void
refuses_tls_1_1_with_an_alert(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_1_VERSION);
    int alert;

    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    assert_int_equal(status_or_alert(context, &alert), 0);
    assert_int_equal(alert, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
}

static void
chooses_http_1_1_of_what_is_offered(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    const unsigned char *chosen;
    unsigned len;

    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);
    assert_non_null(client);
    SSL_get0_alpn_selected(http_kit_ssl(client), &chosen, &len);
    assert_int_equal(len, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    assert_int_equal(http_kit_get(client, "/who")->status, 200);
    http_kit_free(client);
}

static void
refuses_who_speaks_only_http_2_with_an_alert(void **state)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        int alert;
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
        assert_int_equal(status_or_alert(context, &alert), 0);
        assert_int_equal(alert, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    }
}

static void
http_2_by_prior_knowledge_is_refused_behind_tls_too(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    http_kit_say(client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_int_equal(http_kit_reply(client)->status, 400);
    http_kit_free(client);
}

static void
an_optional_client_certificate_reaches_the_handler(void **state)
{
    static const char *const paths[] = {"/who", "/who/worker"};

    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        use_certificate(context, client_der);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        assert_non_null(client);
        for (size_t p = 0; p < COUNT_OF(paths); p++) {
            const struct http_kit_reply *reply = http_kit_get(client, paths[p]);
            assert_int_equal(reply->body_len, client_der.len);
            assert_memory_equal(reply->body, client_der.at, client_der.len);
        }
        http_kit_free(client);
    }
}

static void
an_optional_client_certificate_may_be_missing(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    const struct http_kit_reply *reply = http_kit_get(client, "/who");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_len, 0);
    http_kit_free(client);
}

static void
a_client_certificate_of_strangers_is_refused_with_an_alert(void **state)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        int alert;
        use_certificate(context, stranger_der);
        assert_int_equal(status_or_alert(context, &alert), 0);
        assert_int_equal(alert, SSL_R_TLSV1_ALERT_UNKNOWN_CA);
    }
}

static void
a_required_client_certificate_must_come(void **state)
{
    static const int alerts[] = {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED};

    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        int alert;
        assert_int_equal(status_or_alert(context, &alert), 0);
        assert_int_equal(alert, alerts[i]);
        use_certificate(context, client_der);
        assert_int_equal(status_or_alert(context, &alert), 200);
    }
}

static void
certificates_of_many_clients_are_not_mixed_up(void **state)
{
    struct http_kit *clients[24];

    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i % 2]);
        if (i % 3 != 0)
            use_certificate(context, client_der);
        clients[i] = http_kit_connect_tls(port, context, NULL);
        assert_non_null(clients[i]);
    }
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        assert_int_equal(http_kit_get(clients[i], "/who")->body_len, i % 3 != 0 ? client_der.len : 0);
        http_kit_free(clients[i]);
    }
}

static void
a_session_with_a_client_certificate_is_resumed(void **state)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        use_certificate(context, client_der);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        assert_int_equal(http_kit_get(client, "/who")->status, 200);
        AUTO(SSL_SESSION, session) = SSL_get1_session(http_kit_ssl(client));
        http_kit_free(client);
        client = http_kit_connect_tls(port, context, session);
        assert_non_null(client);
        const struct http_kit_reply *reply = http_kit_get(client, "/who");
        assert_int_equal(SSL_session_reused(http_kit_ssl(client)), 1);
        assert_int_equal(reply->body_len, client_der.len);
        assert_memory_equal(reply->body, client_der.at, client_der.len);
        http_kit_free(client);
    }
}

/* The name in the certificate that a new connection gets. */
static void
served_name(char ret_name[64])
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    assert_non_null(client);
    AUTO(X509, certificate) = SSL_get1_peer_certificate(http_kit_ssl(client));
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, ret_name, 64);
    http_kit_free(client);
}

static bool
comes_to_serve(const char *name)
{
    char served[64] = "";

    for (int i = 0; i < 200 && strcmp(served, name) != 0; i++) {
        usleep(50000);
        served_name(served);
    }
    return strcmp(served, name) == 0;
}

static void
changed_files_are_loaded_and_old_connections_go_on(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *before = http_kit_connect_tls(port, context, NULL);
    struct http_kit *silent = http_kit_connect(port); /* its handshake begins after the change */
    char served[64];

    served_name(served);
    assert_string_equal(served, "first");
    write_server_pair("/CN=second");
    assert_true(comes_to_serve("second"));
    assert_int_equal(http_kit_get(before, "/who")->status, 200);
    http_kit_say(silent, "GET / HTTP/1.1\r\n\r\n");
    assert_true(http_kit_is_closed(silent));
    http_kit_free(before);
    http_kit_free(silent);
}

static void
files_that_do_not_fit_are_not_loaded_until_they_do(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    char served[64];

    write_file(cert_file, certificate_pem(issue("/CN=third", key)));
    for (int i = 0; i < 30; i++) { /* longer than the server takes to look */
        usleep(100000);
        served_name(served);
        assert_string_equal(served, "first");
    }
    write_file(key_file, kit_private_pem(arena, key));
    assert_true(comes_to_serve("third"));
}

static void
a_handshake_that_stalls_is_closed(void **state)
{
    struct http_kit *mute = http_kit_connect(port), *half = http_kit_connect(port);

    http_kit_say_bytes(half, "\x16\x03\x01\x02\x00\x01\x00", 7); /* a ClientHello that never ends */
    assert_true(http_kit_is_closed(mute));
    assert_true(http_kit_is_closed(half));
    http_kit_free(mute);
    http_kit_free(half);
}

static void
a_client_that_does_not_read_is_closed(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    http_kit_say(client, "GET /big HTTP/1.1\r\nHost: test\r\n\r\n");
    for (int i = 0; i < 2000 && atomic_load(&released) == 0; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&released), 1);
    http_kit_free(client);
}

static void
a_large_body_arrives_whole(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    const struct http_kit_reply *reply = http_kit_get(client, "/big");
    assert_int_equal(reply->body_len, LARGE);
    assert_memory_equal(reply->body, large, LARGE);
    http_kit_free(client);
}

static void
a_key_update_of_the_client_is_followed(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    assert_int_equal(SSL_key_update(http_kit_ssl(client), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(http_kit_get(client, "/who")->status, 200);
    http_kit_free(client);
}

static void
a_key_that_is_not_the_certificates_is_an_error_at_open(void **state)
{
    AUTO(EVP_PKEY, other) = kit_key("p256");
    AUTO_STRUCT(request, rq) = request_new();
    struct http_server *second;

    write_file(key_file, kit_private_pem(arena, other));
    const struct http_server_options options = {
        .name = "second", .listen = "127.0.0.1:0", .routes = routes, .route_count = 1, .tls_cert_file = cert_file, .tls_key_file = key_file};
    assert_int_equal(http_server_open(rq, &options, &second), ERR_INTERNAL);
    assert_non_null(strstr(rq->failure.message, key_file));
}

static void
an_encrypted_key_is_an_error_at_open_and_asks_nobody(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    AUTO(BIO, bio) = BIO_new(BIO_s_mem());
    AUTO_STRUCT(request, rq) = request_new();
    struct http_server *second;
    int typed[2];
    char *text;

    /* Without a terminal OpenSSL asks the standard input: here it would get its answer. */
    AUTO_FD stdin_before = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pipe2(typed, O_CLOEXEC), 0);
    assert_int_equal(write(typed[1], "secret\n", 7), 7);
    assert_int_equal(dup2(typed[0], STDIN_FILENO), STDIN_FILENO);
    close(typed[0]);
    close(typed[1]);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL), 1);
    long len = BIO_get_mem_data(bio, &text);
    write_file(key_file, arena_text_n(arena, text, (size_t)len));
    write_file(cert_file, certificate_pem(issue("/CN=first", key)));
    const struct http_server_options options = {
        .name = "second", .listen = "127.0.0.1:0", .routes = routes, .route_count = 1, .tls_cert_file = cert_file, .tls_key_file = key_file};
    enum error error = http_server_open(rq, &options, &second);
    if (stdin_before >= 0)
        dup2(stdin_before, STDIN_FILENO);
    assert_int_equal(error, ERR_INTERNAL);
    assert_non_null(strstr(rq->failure.message, key_file));
}

static void
required_client_certificates_without_a_ca_are_an_error_at_open(void **state)
{
    static const char *const files[] = {NULL, ""};

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct http_server *second;
        const struct http_server_options options = {.name = "second",
                                                    .listen = "127.0.0.1:0",
                                                    .routes = routes,
                                                    .route_count = 1,
                                                    .tls_cert_file = cert_file,
                                                    .tls_key_file = key_file,
                                                    .tls_client_ca_file = files[i],
                                                    .tls_client_required = true};
        assert_int_equal(http_server_open(rq, &options, &second), ERR_INTERNAL);
        assert_non_null(strstr(rq->failure.message, "no file with the CAs"));
    }
}

/* ---- anchors set by the service ---- */

static void
trust(const struct bytes *anchors, size_t count)
{
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(http_server_trust_clients(rq, server, anchors, count), OK);
}

static size_t
body_len_of_who(SSL_CTX *context)
{
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);

    assert_non_null(client);
    const struct http_kit_reply *reply = http_kit_get(client, "/who/worker");
    assert_int_equal(reply->status, 200);
    size_t len = reply->body_len;
    http_kit_free(client);
    return len;
}

static void
anchors_can_be_given_taken_away_and_exchanged(void **state)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        AUTO(SSL_CTX, other) = client_context(versions[i]);
        use_certificate(context, client_der);
        use_certificate(other, stranger_der);
        trust(NULL, 0);
        assert_int_equal(body_len_of_who(context), 0);
        trust(&ca_der, 1);
        assert_int_equal(body_len_of_who(context), client_der.len);
        assert_int_equal(body_len_of_who(other), 0);
        /* A self-signed certificate is its own anchor; the first one's is gone. */
        trust(&stranger_der, 1);
        assert_int_equal(body_len_of_who(other), stranger_der.len);
        assert_int_equal(body_len_of_who(context), 0);
    }
}

static void
check_refusal(struct bytes certificate, const char *expected)
{
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        if (certificate.len > 0)
            use_certificate(context, certificate);
        assert_int_equal(body_len_of_who(context), strcmp(expected, "none") == 0 ? certificate.len : 0);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        assert_non_null(client);
        assert_string_equal(http_kit_get(client, "/refusal")->body, expected);
        http_kit_free(client);
    }
}

/* Its handlers see none, and hear why: whoever has a password, too, is not sent away for it. */
static void
a_certificate_that_is_not_taken_is_as_if_none_was_sent(void **state)
{
    int64_t now_s = time(NULL);
    struct kit_certificate about = {.key = client_key, .subject = "/CN=ended", .issuer_der = ca_der, .issuer_key = ca_key};

    trust(&ca_der, 1);
    check_refusal(BYTES_NONE, "none");
    check_refusal(client_der, "none");
    check_refusal(stranger_der, "self-signed certificate");
    about.not_before_s = now_s - 7200;
    about.not_after_s = now_s - 3600;
    check_refusal(kit_certificate(arena, &about), "certificate has expired");
    about.not_before_s = now_s + 3600;
    about.not_after_s = now_s + 7200;
    check_refusal(kit_certificate(arena, &about), "certificate is not yet valid");
}

static void
anchors_outlive_a_change_of_the_servers_files(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);

    use_certificate(context, client_der);
    trust(&ca_der, 1);
    write_server_pair("/CN=second");
    assert_true(comes_to_serve("second"));
    assert_int_equal(body_len_of_who(context), client_der.len);
}

static void
an_intermediate_may_be_the_anchor(void **state)
{
    AUTO(EVP_PKEY, middle_key) = kit_key("p256");
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct bytes middle = kit_certificate(
        arena,
        &(struct kit_certificate){
            .key = middle_key, .subject = "/CN=Middle CA", .issuer_der = ca_der, .issuer_key = ca_key, .is_ca = true, .key_usage = "keyCertSign"});
    struct bytes leaf =
        kit_certificate(arena, &(struct kit_certificate){.key = client_key, .subject = "/CN=leaf", .issuer_der = middle, .issuer_key = middle_key});

    use_certificate(context, leaf);
    trust(&middle, 1);
    assert_int_equal(body_len_of_who(context), leaf.len);
}

static void
an_anchor_that_is_no_certificate_is_refused_and_changes_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    struct bytes anchors[2] = {stranger_der, bytes_of_text("no DER")};

    use_certificate(context, client_der);
    trust(&ca_der, 1);
    assert_int_equal(http_server_trust_clients(rq, server, anchors, 2), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "trust anchor 2"));
    assert_int_equal(body_len_of_who(context), client_der.len);
}

static void
sessions_are_not_resumed_where_anchors_can_be_taken_away(void **state)
{
    trust(&ca_der, 1);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        assert_int_equal(http_kit_get(client, "/who")->status, 200);
        AUTO(SSL_SESSION, session) = SSL_get1_session(http_kit_ssl(client));
        http_kit_free(client);
        client = http_kit_connect_tls(port, context, session);
        assert_non_null(client);
        assert_int_equal(http_kit_get(client, "/who")->status, 200);
        assert_int_equal(SSL_session_reused(http_kit_ssl(client)), 0);
        http_kit_free(client);
    }
}

static const char *
expected_binding(SSL *ssl)
{
    uint8_t octets[64];
    size_t len = sizeof octets;

    if (SSL_version(ssl) == TLS1_2_VERSION) {
        len = SSL_get_finished(ssl, octets, sizeof octets);
        assert_int_equal(len, 12);
        return arena_format(arena, "303 %s ", bytes_hex(arena, BYTES(octets, len), 0));
    }
    assert_int_equal(SSL_export_keying_material(ssl, octets, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0), 1);
    return arena_format(arena, "304  %s", bytes_hex(arena, BYTES(octets, 32), 0));
}

static void
handlers_get_the_channel_binding_that_the_client_has(void **state)
{
    static const char *const paths[] = {"/binding", "/binding/worker"};

    trust(&ca_der, 1);
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        AUTO(SSL_CTX, context) = client_context(versions[i]);
        use_certificate(context, client_der);
        SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
        struct http_kit *client = http_kit_connect_tls(port, context, NULL);
        const char *expected = expected_binding(http_kit_ssl(client));
        for (size_t p = 0; p < COUNT_OF(paths); p++) {
            const struct http_kit_reply *reply = http_kit_get(client, paths[p]);
            assert_string_equal(bytes_text(arena, BYTES(reply->body, reply->body_len)), expected);
        }
        http_kit_free(client);
    }
}

static void
handlers_get_the_chain_that_the_client_sent(void **state)
{
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);
    const unsigned char *at = ca_der.at;

    use_certificate(context, client_der);
    SSL_CTX_add_extra_chain_cert(context, d2i_X509(NULL, &at, (long)ca_der.len));
    trust(&ca_der, 1);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);
    const struct http_kit_reply *reply = http_kit_get(client, "/binding/worker");
    assert_non_null(strstr(bytes_text(arena, BYTES(reply->body, reply->body_len)), arena_format(arena, " %zu", ca_der.len)));
    http_kit_free(client);
}

static void
what_a_proxy_shows_is_not_its_clients(void **state)
{
    static const char *const paths[] = {"/who", "/who/worker"};
    AUTO(SSL_CTX, context) = client_context(TLS1_3_VERSION);

    use_certificate(context, client_der);
    trust(&ca_der, 1);
    struct http_kit *client = http_kit_connect_tls(port, context, NULL);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        http_kit_say(client, arena_format(arena, "GET %s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", paths[i]));
        const struct http_kit_reply *reply = http_kit_reply(client);
        assert_string_equal(http_kit_header(reply, "X-Peer"), "192.0.2.1");
        assert_int_equal(reply->body_len, 0);
    }
    /* Nor when it does not say for whom it asks. */
    const struct http_kit_reply *reply = http_kit_get(client, "/who");
    assert_string_equal(http_kit_header(reply, "X-Peer"), "127.0.0.1");
    assert_int_equal(reply->body_len, 0);
    reply = http_kit_get(client, "/binding/worker");
    assert_string_equal(bytes_text(arena, BYTES(reply->body, reply->body_len)), "0  ");
    http_kit_free(client);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, close_server)
#define TEST_ASKING(function) cmocka_unit_test_setup_teardown(function, start_asking, close_server)
#define TEST_TRUSTING(function) cmocka_unit_test_setup_teardown(function, start_trusting_by_call, close_server)
#define TEST_BEHIND_A_PROXY(function) cmocka_unit_test_setup_teardown(function, start_behind_a_proxy, close_server)
#define TEST_REQUIRING(function) cmocka_unit_test_setup_teardown(function, start_requiring, close_server)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_tls_1_2_and_1_3),
        TEST(refuses_tls_1_1_with_an_alert),
        TEST(chooses_http_1_1_of_what_is_offered),
        TEST(refuses_who_speaks_only_http_2_with_an_alert),
        TEST(http_2_by_prior_knowledge_is_refused_behind_tls_too),
        TEST_ASKING(an_optional_client_certificate_reaches_the_handler),
        TEST_ASKING(an_optional_client_certificate_may_be_missing),
        TEST_ASKING(a_client_certificate_of_strangers_is_refused_with_an_alert),
        TEST_REQUIRING(a_required_client_certificate_must_come),
        TEST_ASKING(certificates_of_many_clients_are_not_mixed_up),
        TEST_ASKING(a_session_with_a_client_certificate_is_resumed),
        TEST(changed_files_are_loaded_and_old_connections_go_on),
        TEST(files_that_do_not_fit_are_not_loaded_until_they_do),
        TEST(a_handshake_that_stalls_is_closed),
        TEST(a_client_that_does_not_read_is_closed),
        TEST(a_large_body_arrives_whole),
        TEST(a_key_update_of_the_client_is_followed),
        TEST(a_key_that_is_not_the_certificates_is_an_error_at_open),
        TEST(an_encrypted_key_is_an_error_at_open_and_asks_nobody),
        TEST_TRUSTING(anchors_can_be_given_taken_away_and_exchanged),
        TEST_TRUSTING(a_certificate_that_is_not_taken_is_as_if_none_was_sent),
        TEST_TRUSTING(anchors_outlive_a_change_of_the_servers_files),
        TEST_TRUSTING(an_intermediate_may_be_the_anchor),
        TEST_TRUSTING(an_anchor_that_is_no_certificate_is_refused_and_changes_nothing),
        TEST_TRUSTING(sessions_are_not_resumed_where_anchors_can_be_taken_away),
        TEST_TRUSTING(handlers_get_the_channel_binding_that_the_client_has),
        TEST_TRUSTING(handlers_get_the_chain_that_the_client_sent),
        TEST_BEHIND_A_PROXY(what_a_proxy_shows_is_not_its_clients),
        TEST(required_client_certificates_without_a_ca_are_an_error_at_open),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
