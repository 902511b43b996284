/* tls-alpn-01 against real TLS servers: which protocol, which version, whom they are asked for, and those that hang. */
#include "world_fixture.h"

#include <openssl/ssl.h>

#include "alpn_fixture.h"

static struct validator validator;
static struct request *process_rq;

/* What the server does with a connection. */
static struct {
    const char *protocol; /* NULL: none is taken */
    int most_version;     /* 0: any */
    bool silent, plain;
    const char *names;
    char asked_for[256];
} server;

static int
take_protocol(SSL *tls, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned int in_len, void *argument)
{
    const char *name = SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name);

    snprintf(server.asked_for, sizeof server.asked_for, "%s", name == NULL ? "" : name);
    if (server.protocol == NULL || in_len != 11 ||
        memcmp(in,
               "\x0a"
               "acme-tls/1",
               11) != 0)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)server.protocol;
    *out_len = (unsigned char)strlen(server.protocol);
    return SSL_TLSEXT_ERR_OK;
}

static void
shake_hands(int connection)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = kit_key("p256");
    X509 *certificate = make_certificate(&(struct shown){server.names}, key);

    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_max_proto_version(context, server.most_version);
    SSL_CTX_set_alpn_select_cb(context, take_protocol, NULL);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, connection);
    (void)SSL_accept(tls);
    SSL_free(tls);
    X509_free(certificate);
    EVP_PKEY_free(key);
    SSL_CTX_free(context);
}

static void *
serve_tls(void *argument)
{
    while (!world.closing) {
        struct pollfd wait = {.fd = world.listener, .events = POLLIN};
        if (poll(&wait, 1, 50) <= 0)
            continue;
        int connection = accept4(world.listener, NULL, NULL, SOCK_CLOEXEC);
        world.asked++;
        if (server.plain)
            say_ok(connection, "no TLS here");
        while (server.silent && !world.closing)
            clock_sleep_ms(10);
        if (!server.plain && !server.silent)
            shake_hands(connection);
        close(connection);
    }
    return NULL;
}

static int
open_all(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    start_dnsmasq();
    world.listener = listen_on_loopback(SOCK_STREAM, &world.port);
    assert_int_equal(listen(world.listener, 64), 0);
    pthread_create(&world.thread, NULL, serve_tls, NULL);
    process_rq = request_new();
    assert_int_equal(networks_parse(process_rq, "127.0.0.0/8,::1", &validator.rules.allowed), OK);
    validator.rules.tls_alpn01_port = world.port;
    validator.config.perspective = "here";
    open_resolver(process_rq, world.dns_port, &validator.resolver);
    return 0;
}

static int
close_all(void **state)
{
    resolver_close(validator.resolver);
    request_free(process_rq);
    return close_world(state);
}

static void
begin(void)
{
    memset(&server, 0, sizeof server);
    server.protocol = "acme-tls/1";
    server.names = "DNS:ok.test";
    world.asked = 0;
}

static Pb__ValidateChallengeReply
ask_for(struct request *rq, const char *host, int deadline_ms)
{
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;
    struct address address;

    name.type = address_parse(host, &address) ? PB__NAME_TYPE__NAME_TYPE_IP : PB__NAME_TYPE__NAME_TYPE_DNS;
    name.value = host;
    input.type = "tls-alpn-01";
    input.identifier = &name;
    input.token = TOKEN;
    input.key_authorization = KEY_AUTHORIZATION;
    rq->deadline_ms = clock_monotonic_ms() + deadline_ms;
    if (validate_challenge(&validator, rq, &input, &reply) != OK)
        fail_msg("%s", rq->failure.message);
    return reply;
}

static void
assert_problem_with(const char *host, const char *problem, const char *detail)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeReply reply = ask_for(rq, host, 10000);

    if (reply.valid || strcmp(reply.problem, problem) != 0 || strstr(reply.detail, detail) == NULL)
        fail_msg("%s: %s", reply.problem, reply.detail);
}

static void
assert_valid(const char *host)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeReply reply = ask_for(rq, host, 10000);

    if (!reply.valid)
        fail_msg("%s: %s", reply.problem, reply.detail);
}

static void
accepts_the_right_certificate(void **state)
{
    begin();
    assert_valid("ok.test");
    assert_string_equal(server.asked_for, "ok.test");
}

static void
accepts_tls_1_2(void **state)
{
    begin();
    server.most_version = TLS1_2_VERSION;
    assert_valid("ok.test");
}

static void
rejects_tls_1_1(void **state)
{
    begin();
    server.most_version = TLS1_1_VERSION;
    assert_problem_with("ok.test", "tls", "handshake");
}

static void
falls_back_to_ipv4_when_nobody_is_at_ipv6(void **state)
{
    begin();
    server.names = "DNS:both.test";
    assert_valid("both.test");
}

static void
asks_for_an_address_by_its_reverse_name(void **state)
{
    begin();
    server.names = "IP:127.0.0.1";
    assert_valid("127.0.0.1");
    assert_string_equal(server.asked_for, "1.0.0.127.in-addr.arpa");
}

static void
rejects_a_server_without_the_protocol(void **state)
{
    begin();
    server.protocol = NULL;
    assert_problem_with("ok.test", "tls", "acme-tls/1");
}

static void
rejects_a_server_that_takes_another_protocol(void **state)
{
    begin();
    server.protocol = "http/1.1";
    assert_problem_with("ok.test", "tls", "");
}

static void
rejects_another_certificate(void **state)
{
    begin();
    server.names = "DNS:other.test";
    assert_problem_with("ok.test", "incorrectResponse", "127.0.0.1 port");
}

static void
rejects_a_server_without_tls(void **state)
{
    begin();
    server.plain = true;
    assert_problem_with("ok.test", "tls", "handshake");
}

static void
says_connection_when_nobody_listens(void **state)
{
    begin();
    assert_problem_with("six.test", "connection", "::1 port");
}

static void
says_dns_for_a_name_that_does_not_exist(void **state)
{
    begin();
    assert_problem_with("nothing.test", "dns", "nothing.test");
}

static void
never_dials_metadata(void **state)
{
    begin();
    assert_problem_with("meta.test", "connection", "metadata");
    assert_problem_with("169.254.169.254", "connection", "metadata");
    assert_int_equal(world.asked, 0);
}

static void
never_dials_the_suites_own_listener(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct validator careful = validator;

    begin();
    assert_int_equal(endpoints_add(rq, arena_format(rq->arena, "127.0.0.1:%d", world.port), &validator.rules.own), OK);
    assert_problem_with("ok.test", "connection", "part of this service");
    validator = careful;
    assert_int_equal(world.asked, 0);
}

static void
a_silent_server_ends_with_the_deadline(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    server.silent = true;
    Pb__ValidateChallengeReply reply = ask_for(rq, "ok.test", 300);
    server.silent = false;
    assert_false(reply.valid);
    assert_string_equal(reply.problem, "tls");
    assert_non_null(strstr(reply.detail, "not finished in time"));
}

/* RFC 8738 §6, RFC 3596 §2.5 */
static void
an_ipv6_address_has_its_reverse_name(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct identifier name = {.type = IDENTIFIER_IP, .value = "4321:0:1:2:3:4:567:89ab"};

    assert_string_equal(tls_alpn_01_server_name(arena, &name), "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_right_certificate),
        cmocka_unit_test(accepts_tls_1_2),
        cmocka_unit_test(rejects_tls_1_1),
        cmocka_unit_test(falls_back_to_ipv4_when_nobody_is_at_ipv6),
        cmocka_unit_test(asks_for_an_address_by_its_reverse_name),
        cmocka_unit_test(rejects_a_server_without_the_protocol),
        cmocka_unit_test(rejects_a_server_that_takes_another_protocol),
        cmocka_unit_test(rejects_another_certificate),
        cmocka_unit_test(rejects_a_server_without_tls),
        cmocka_unit_test(says_connection_when_nobody_listens),
        cmocka_unit_test(says_dns_for_a_name_that_does_not_exist),
        cmocka_unit_test(never_dials_metadata),
        cmocka_unit_test(never_dials_the_suites_own_listener),
        cmocka_unit_test(a_silent_server_ends_with_the_deadline),
        cmocka_unit_test(an_ipv6_address_has_its_reverse_name),
    };
    return cmocka_run_group_tests_name("tls_alpn_01", tests, open_all, close_all);
}
