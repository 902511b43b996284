/* One attempt at a challenge, with real DNS and real HTTP: what is valid, what is a problem of which type, and where a stranger cannot lead us. */
#include "world_fixture.h"

#define TOKEN "token-token-token-token-token"
#define KEY_AUTHORIZATION TOKEN ".nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
#define CHALLENGE_PATH "/.well-known/acme-challenge/" TOKEN

static struct validator validator;

/* What the web server does at the challenge's path; at any other path it has the right text. */
static struct {
    int status; /* 0: 200 with `body`; 3xx: redirect to `body` */
    const char *body;
    bool endless, drip, silent, always;
    const char *elsewhere; /* the text at other paths; NULL: the right one */
} site;

static void
be_endless(int connection)
{
    char chunk[1100];

    memset(chunk, 'z', sizeof chunk);
    say(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (send(connection, "400\r\n", 5, MSG_NOSIGNAL) == 5 && send(connection, chunk, 1024, MSG_NOSIGNAL) == 1024)
        if (send(connection, "\r\n", 2, MSG_NOSIGNAL) != 2)
            return;
}

static void
drip(int connection)
{
    say(connection, "HTTP/1.1 200 OK\r\nContent-Length: 87\r\n\r\n");
    while (send(connection, "a", 1, MSG_NOSIGNAL) == 1 && !world.closing)
        clock_sleep_ms(50);
}

static void
answer(int connection, const char *path)
{
    if (strcmp(path, CHALLENGE_PATH) != 0 && !site.always)
        say_ok(connection, site.elsewhere == NULL ? KEY_AUTHORIZATION : site.elsewhere);
    else if (site.endless)
        be_endless(connection);
    else if (site.drip)
        drip(connection);
    else if (site.silent)
        say(connection, "%s", "");
    else if (site.status >= 300 && site.status < 400)
        say_redirect(connection, site.status, site.body);
    else if (site.status != 0)
        say(connection, "HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", site.status);
    else
        say_ok(connection, site.body == NULL ? KEY_AUTHORIZATION : site.body);
}

static struct request *process_rq;

static int
open_validator(void **state)
{
    open_world(state);
    world.answer = answer;
    process_rq = request_new();
    assert_int_equal(networks_parse(process_rq, "127.0.0.0/8,::1", &validator.rules.allowed), OK);
    validator.rules.http01_port = world.port;
    validator.config.perspective = "here";
    open_resolver(process_rq, world.dns_port, &validator.resolver);
    return 0;
}

static int
close_validator(void **state)
{
    resolver_close(validator.resolver);
    request_free(process_rq);
    return close_world(state);
}

static void
begin(void)
{
    memset(&site, 0, sizeof site);
    world.asked = 0;
    world.host[0] = '\0';
}

struct asked {
    const char *host;
    bool is_ip;
    const char *only, *not_to;
    int deadline_ms;
};

static Pb__ValidateChallengeReply
ask_for(struct request *rq, const struct asked *asked)
{
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;
    char *only = (char *)asked->only, *not_to = (char *)asked->not_to;

    name.type = asked->is_ip ? PB__NAME_TYPE__NAME_TYPE_IP : PB__NAME_TYPE__NAME_TYPE_DNS;
    name.value = asked->host;
    input.type = "http-01";
    input.identifier = &name;
    input.token = TOKEN;
    input.key_authorization = KEY_AUTHORIZATION;
    input.allowed_networks = (void *)&only;
    input.n_allowed_networks = only != NULL;
    input.denied_networks = (void *)&not_to;
    input.n_denied_networks = not_to != NULL;
    rq->deadline_ms = clock_monotonic_ms() + (asked->deadline_ms != 0 ? asked->deadline_ms : 15000);
    if (validate_challenge(&validator, rq, &input, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return reply;
}

static const struct one {
    const char *name;
    const char *host;
    int status;
    const char *body;    /* %P: the web server's port */
    const char *problem; /* NULL: valid */
    const char *detail;  /* part of it */
    bool is_ip, always;
    const char *only, *not_to;
} cases[] = {
    {"accepts_the_right_text", "ok.test"},
    {"accepts_it_behind_an_alias", "alias.test"},
    {"accepts_it_at_an_address", "127.0.0.1", .is_ip = true},
    {"accepts_a_zone_that_libunbound_would_answer_itself", "localhost"},
    {"falls_back_to_ipv4_when_nobody_is_at_ipv6", "both.test"},
    {"takes_the_allowed_one_of_two_addresses", "mixed.test"},
    {"rejects_another_text", "ok.test", 0, "wrong", "incorrectResponse", "\"wrong\" was found"},
    {"rejects_a_404", "ok.test", 404, NULL, "unauthorized", "404"},
    {"rejects_a_500", "ok.test", 500, NULL, "unauthorized", "500"},
    {"follows_a_relative_redirect", "ok.test", 302, "/elsewhere"},
    {"follows_301", "ok.test", 301, "http://ok.test:%P/elsewhere"},
    {"follows_307_to_another_name", "ok.test", 307, "http://alias.test:%P/elsewhere"},
    {"follows_308_to_port_80", "ok.test", 308, "http://alias.test/elsewhere"},
    {"follows_to_an_address", "ok.test", 302, "http://127.0.0.1:%P/elsewhere"},
    {"drops_user_and_password_of_a_redirect", "ok.test", 302, "http://user:secret@ok.test:%P/elsewhere"},
    {"does_not_follow_303", "ok.test", 303, "/elsewhere", "unauthorized", "303"},
    {"does_not_follow_without_end", "ok.test", 302, CHALLENGE_PATH, "connection", "more than 10 redirects", .always = true},
    {"does_not_follow_to_a_file", "ok.test", 302, "file:///etc/passwd", "connection", "http"},
    {"does_not_follow_to_gopher", "ok.test", 302, "gopher://ok.test:%P/x", "connection", "http"},
    {"does_not_follow_to_other_ports", "ok.test", 302, "http://ok.test:22/", "connection", "ports"},
    {"does_not_follow_to_metadata", "ok.test", 302, "http://169.254.169.254/latest/meta-data/", "connection", "169.254.169.254"},
    {"does_not_follow_to_a_name_with_a_metadata_address", "ok.test", 302, "http://meta.test/latest", "connection", "169.254.169.254"},
    {"does_not_follow_to_mapped_metadata", "ok.test", 302, "http://[::ffff:169.254.169.254]/", "connection", "169.254.169.254"},
    {"does_not_follow_to_an_address_in_one_number", "ok.test", 302, "http://2852039166/", "connection", ""},
    {"does_not_follow_to_a_strange_host", "ok.test", 302, "http://a_b.test/", "connection", "neither a name nor an address"},
    {"says_tls_when_there_is_none", "ok.test", 302, "https://ok.test:%P/elsewhere", "tls", "https://ok.test"},
    {"says_dns_for_a_redirect_to_nowhere", "ok.test", 302, "http://nothing.test/", "dns", "nothing.test"},
    {"rejects_a_name_that_does_not_exist", "nothing.test", 0, NULL, "dns", "nothing.test"},
    {"rejects_a_name_without_address", "text.test", 0, NULL, "dns", "text.test"},
    {"rejects_a_metadata_address", "meta.test", 0, NULL, "connection", "metadata"},
    {"rejects_a_metadata_identifier", "169.254.169.254", 0, NULL, "connection", "metadata", .is_ip = true},
    {"says_connection_when_nobody_listens", "six.test", 0, NULL, "connection", "::1"},
    {"respects_the_policys_networks", "ok.test", 0, NULL, "connection", "127.0.0.1", .only = "10.0.0.0/8"},
    {"respects_the_policys_refusals", "ok.test", 0, NULL, "connection", "127.0.0.1", .not_to = "127.0.0.1/32"},
};

static const char *
with_port(struct arena *arena, const char *pattern)
{
    const char *at = pattern == NULL ? NULL : strstr(pattern, "%P");

    return at == NULL ? pattern : arena_format(arena, "%.*s%d%s", (int)(at - pattern), pattern, world.port, at + 2);
}

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    site.status = one->status;
    site.body = with_port(rq->arena, one->body);
    site.always = one->always;
    Pb__ValidateChallengeReply reply = ask_for(rq, &(struct asked){.host = one->host, .is_ip = one->is_ip, .only = one->only, .not_to = one->not_to});
    assert_string_equal(reply.perspective, "here");
    if (one->problem == NULL) {
        if (!reply.valid)
            fail_msg("%s: %s", reply.problem, reply.detail);
        assert_string_equal(reply.problem, "");
        assert_true(reply.n_addresses >= 1);
        return;
    }
    assert_false(reply.valid);
    if (strcmp(reply.problem, one->problem) != 0 || strstr(reply.detail, one->detail) == NULL)
        fail_msg("%s: %s", reply.problem, reply.detail);
}

static void
what_a_redirect_leads_to_is_not_shown(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    site.status = 302;
    site.body = "/of-an-inner-network";
    site.elsewhere = "a secret page";
    Pb__ValidateChallengeReply reply = ask_for(rq, &(struct asked){.host = "ok.test"});
    assert_string_equal(reply.problem, "incorrectResponse");
    assert_non_null(strstr(reply.detail, "something else was found"));
    assert_null(strstr(reply.detail, "secret"));
}

static void
the_host_header_is_the_name_alone(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    assert_true(ask_for(rq, &(struct asked){.host = "ok.test"}).valid);
    assert_string_equal(world.host, "ok.test");
    assert_int_equal(world.asked, 1);
}

static void
an_endless_text_is_cut(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    site.endless = true;
    Pb__ValidateChallengeReply reply = ask_for(rq, &(struct asked){.host = "ok.test"});
    assert_false(reply.valid);
    assert_string_equal(reply.problem, "incorrectResponse");
}

static void
a_dripping_server_ends_with_the_deadline(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    site.drip = true;
    Pb__ValidateChallengeReply reply = ask_for(rq, &(struct asked){.host = "ok.test", .deadline_ms = 500});
    assert_false(reply.valid);
    assert_string_equal(reply.problem, "connection");
}

static void
a_server_that_says_nothing_is_a_connection_problem(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    site.silent = true;
    assert_string_equal(ask_for(rq, &(struct asked){.host = "ok.test"}).problem, "connection");
}

static void
no_proxy_of_the_environment_is_used(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    begin();
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_true(ask_for(rq, &(struct asked){.host = "ok.test"}).valid);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void
the_suites_own_listener_is_never_asked(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct validator careful = validator;

    begin();
    assert_int_equal(endpoints_add(rq, arena_format(rq->arena, "127.0.0.1:%d", world.port), &validator.rules.own), OK);
    Pb__ValidateChallengeReply reply = ask_for(rq, &(struct asked){.host = "ok.test"});
    validator = careful;
    assert_false(reply.valid);
    assert_non_null(strstr(reply.detail, "part of this service"));
    assert_int_equal(world.asked, 0);
}

static void *
ask_in_a_thread(void *argument)
{
    AUTO_STRUCT(request, rq) = request_new();
    static const char *const hosts[] = {"ok.test", "nothing.test", "both.test", "alias.test"};
    size_t which = (size_t)(uintptr_t)argument % COUNT_OF(hosts);

    for (int i = 0; i < 10; i++)
        if (ask_for(rq, &(struct asked){.host = hosts[which]}).valid != (which != 1))
            return &world;
    return NULL;
}

static void
many_at_once_do_not_mix(void **state)
{
    pthread_t threads[16];

    begin();
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, ask_in_a_thread, (void *)(uintptr_t)i);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static void
a_resolver_that_is_away_is_a_dns_problem_within_the_deadline(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *away;
    struct addresses addresses;
    int port;
    int silent = listen_on_loopback(SOCK_DGRAM, &port);

    open_resolver(rq, port, &away);
    rq->deadline_ms = clock_monotonic_ms() + 300;
    assert_int_not_equal(resolve(away, rq, "ok.test", &addresses), OK);
    assert_string_equal(rq->failure.reason, "dns");
    resolver_close(away);
    close(silent);
}

static const struct wrong {
    const char *name;
    const char *type, *host, *token, *key_authorization, *network;
    int name_type;
} wrongs[] = {
    {"rejects_another_type", "dns-02", "ok.test", TOKEN, KEY_AUTHORIZATION, NULL, 1},
    {"rejects_a_short_token", "http-01", "ok.test", "short", "short.x", NULL, 1},
    {"rejects_a_token_with_a_path", "http-01", "ok.test", "../../../../../../../../etc", "../../../../../../../../etc.x", NULL, 1},
    {"rejects_a_key_authorization_of_another_token", "http-01", "ok.test", TOKEN, "other" KEY_AUTHORIZATION, NULL, 1},
    {"rejects_a_key_authorization_without_thumbprint_dot", "http-01", "ok.test", TOKEN, TOKEN, NULL, 1},
    {"rejects_a_wildcard", "http-01", "*.ok.test", TOKEN, KEY_AUTHORIZATION, NULL, 1},
    {"rejects_a_name_with_a_slash", "http-01", "ok.test/x", TOKEN, KEY_AUTHORIZATION, NULL, 1},
    {"rejects_an_unknown_kind_of_name", "http-01", "ok.test", TOKEN, KEY_AUTHORIZATION, NULL, 3},
    {"rejects_no_kind_of_name", "http-01", "ok.test", TOKEN, KEY_AUTHORIZATION, NULL, 0},
    {"rejects_a_network_that_is_none", "http-01", "ok.test", TOKEN, KEY_AUTHORIZATION, "office", 1},
};

static void
rejects(void **state)
{
    const struct wrong *wrong = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;
    char *network = (char *)wrong->network;

    begin();
    name.type = (Pb__NameType)wrong->name_type;
    name.value = wrong->host;
    input.identifier = &name;
    input.type = wrong->type;
    input.token = wrong->token;
    input.key_authorization = wrong->key_authorization;
    input.allowed_networks = (void *)&network;
    input.n_allowed_networks = network != NULL;
    enum error error = validate_challenge(&validator, rq, &input, &reply);
    assert_true(error == ERR_BAD_REQUEST || error == ERR_BAD_NAME);
    assert_int_equal(world.asked, 0);
}

static void
rejects_a_request_without_identifier(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;

    input.type = "http-01";
    assert_int_equal(validate_challenge(&validator, rq, &input, &reply), ERR_BAD_REQUEST);
}

#define CASES_BY_HAND 10

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(cases) + COUNT_OF(wrongs)] = {
        cmocka_unit_test(what_a_redirect_leads_to_is_not_shown),
        cmocka_unit_test(the_host_header_is_the_name_alone),
        cmocka_unit_test(an_endless_text_is_cut),
        cmocka_unit_test(a_dripping_server_ends_with_the_deadline),
        cmocka_unit_test(a_server_that_says_nothing_is_a_connection_problem),
        cmocka_unit_test(no_proxy_of_the_environment_is_used),
        cmocka_unit_test(the_suites_own_listener_is_never_asked),
        cmocka_unit_test(many_at_once_do_not_mix),
        cmocka_unit_test(a_resolver_that_is_away_is_a_dns_problem_within_the_deadline),
        cmocka_unit_test(rejects_a_request_without_identifier),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[count++] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    for (size_t i = 0; i < COUNT_OF(wrongs); i++)
        tests[count++] = (struct CMUnitTest){.name = wrongs[i].name, .test_func = rejects, .initial_state = (void *)&wrongs[i]};
    return _cmocka_run_group_tests("validate_challenge", tests, count, open_validator, close_validator);
}
