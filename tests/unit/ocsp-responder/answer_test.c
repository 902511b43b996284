/* The way of one request: when the cache answers, when somebody is asked, and what is never kept. */
#include "responder_fixture.h"

#include "base/base64.h"

/* ---- seams ---- */

static int64_t later_s; /* how far the clock has been put forward */

int64_t
clock_now_s(void)
{
    return clock_now_us() / 1000000 + later_s;
}

struct exchange {
    struct http_exchange x;
    const char *method; /* NULL: POST */
    const char *content_type, *if_none_match;
    bool deferred;
};

const char *
http_header_in(const struct http_exchange *x, const char *name)
{
    const struct exchange *exchange = x->internal;

    return text_equal(name, "Content-Type") ? exchange->content_type : text_equal(name, "If-None-Match") ? exchange->if_none_match : NULL;
}

enum error
http_defer(struct http_exchange *x)
{
    assert_true(x->on_loop);
    ((struct exchange *)x->internal)->deferred = true;
    return OK;
}

/* ---- exchanges ---- */

/* As h2o and the workers do: on the loop first, then, when it is deferred, on a worker. */
static enum error
post(struct fixture *fixture, struct exchange *exchange, struct bytes body)
{
    struct http_exchange *x = &exchange->x;
    enum error error;

    x->rq.arena = fixture->rq->arena;
    x->rq.failure.kind = OK;
    x->method = exchange->method != NULL ? exchange->method : "POST";
    x->internal = exchange;
    x->body = body;
    x->on_loop = true;
    error = answer_post(&fixture->responder, x);
    if (!exchange->deferred)
        return error;
    assert_int_equal(error, OK);
    assert_int_equal(x->answer.header_count, 0);
    x->on_loop = false;
    x->rq.deadline_ms = clock_monotonic_ms() + 20000;
    return answer_post(&fixture->responder, x);
}

static void
end(struct exchange *exchange)
{
    if (exchange->x.answer.release != NULL)
        exchange->x.answer.release(exchange->x.answer.held);
    *exchange = (struct exchange){0};
}

static const char *
header(const struct exchange *exchange, const char *name)
{
    const struct http_answer *answer = &exchange->x.answer;
    const char *value = "";

    for (size_t i = 0; i < answer->header_count; i++)
        if (text_equal(answer->headers[i].name, name))
            value = answer->headers[i].value;
    return value;
}

/* The body of the answer to this request now: "response 3". */
static const char *
ask(struct fixture *fixture, struct bytes request)
{
    struct exchange exchange = {.content_type = "application/ocsp-request"};

    assert_ok(&exchange.x.rq, post(fixture, &exchange, request));
    assert_int_equal(exchange.x.answer.status, 200);
    const char *body = bytes_text(fixture->rq->arena, exchange.x.answer.body);
    end(&exchange);
    return body;
}

/* From the signer, then from the cache, then by its octets: the same answer each time. */
static void
ask_three_times(struct fixture *fixture, struct bytes request, const char *answer)
{
    for (int i = 0; i < 3; i++)
        assert_string_equal(ask(fixture, request), answer);
}

static int
begin(void **state)
{
    later_s = 0;
    return open_fixture(state);
}
#define ANSWER_CASE(name) cmocka_unit_test_setup_teardown(name, begin, close_fixture)

/* ---- what is shared ---- */

static void
answers_from_the_cache_on_the_loop(void **state)
{
    struct fixture *fixture = *state;
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct exchange first = {0}, second = {0};

    assert_ok(&first.x.rq, post(fixture, &first, request));
    assert_true(first.deferred);
    assert_ok(&second.x.rq, post(fixture, &second, request));
    assert_false(second.deferred);
    assert_true(bytes_equal(second.x.answer.body, first.x.answer.body));
    assert_string_equal(header(&second, "Content-Type"), "application/ocsp-response");
    assert_string_equal(header(&second, "Cache-Control"), "max-age=300, public, no-transform, must-revalidate");
    assert_string_not_equal(header(&second, "Last-Modified"), "");
    assert_string_not_equal(header(&second, "Expires"), "");
    assert_int_equal(signer.signed_responses, 1);
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_GOOD);
    end(&first);
    end(&second);
}

static void
what_was_asked_lately_is_answered_unread(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena), request = request_for(fixture->rq->arena, signer.issuing, serial);
    struct bytes unreadable = bytes_of_text("not an OCSP request");
    struct ocsp_request parsed;
    struct exchange exchange = {0};

    assert_string_equal(ask(fixture, request), "response 1");
    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request, &parsed));
    const struct cached *entry = cache_find(fixture->responder.cache, serial, parsed.ids[0].der);
    recent_keep(fixture->responder.recents[0], NULL, unreadable, entry);
    cache_release((void *)entry);
    assert_string_equal(ask(fixture, unreadable), "response 1");
    cache_drop(fixture->responder.cache, serial);
    assert_int_equal(post(fixture, &exchange, unreadable), ERR_BAD_REQUEST);
    end(&exchange);
}

static void
tells_who_has_the_answer_that_it_is_unchanged(void **state)
{
    struct fixture *fixture = *state;
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct exchange first = {0}, other = {.method = "GET", .if_none_match = "\"00\""};

    assert_ok(&first.x.rq, post(fixture, &first, request));
    /* The second time by its octets. */
    for (int i = 0; i < 2; i++) {
        struct exchange same = {.method = "GET", .if_none_match = header(&first, "ETag")}, posted = {.if_none_match = header(&first, "ETag")};
        assert_ok(&same.x.rq, post(fixture, &same, request));
        assert_int_equal(same.x.answer.status, 304);
        assert_int_equal(same.x.answer.body.len, 0);
        assert_string_equal(header(&same, "ETag"), header(&first, "ETag"));
        assert_string_equal(header(&same, "Content-Type"), "");
        end(&same);
        assert_ok(&posted.x.rq, post(fixture, &posted, request));
        assert_int_equal(posted.x.answer.status, 200);
        end(&posted);
    }
    assert_ok(&other.x.rq, post(fixture, &other, request));
    assert_int_equal(other.x.answer.status, 200);
    end(&first);
    end(&other);
}

static void
a_revocation_is_told_after_its_event(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena), request = request_for(fixture->rq->arena, signer.issuing, serial);
    Pb__CertificateRevoked message = PB__CERTIFICATE_REVOKED__INIT;
    const struct event event = {.id = "1", .message = &message.base};

    ask_three_times(fixture, request, "response 1");
    mark_revoked(fixture->rq->arena, serial);
    assert_string_equal(ask(fixture, request), "response 1");
    message.serial = message_data(serial);
    assert_int_equal(on_certificate_revoked(&fixture->responder, fixture->rq, &event, 1), OK);
    assert_string_equal(ask(fixture, request), "response 2");
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_REVOKED);
    ask_three_times(fixture, request, "response 2");
}

/* Streams that are away lose no connection: the bus looks well, and nothing is heard. */
static void
a_revocation_is_told_in_a_while_although_its_event_never_comes(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena), request = request_for(fixture->rq->arena, signer.issuing, serial);

    ask_three_times(fixture, request, "response 1");
    later_s = 301;
    ask_three_times(fixture, request, "response 1");
    mark_revoked(fixture->rq->arena, serial);
    later_s = 600;
    ask_three_times(fixture, request, "response 1");
    later_s = 602;
    ask_three_times(fixture, request, "response 2");
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_REVOKED);
}

struct race {
    struct fixture *fixture;
    struct bytes serial;
};

static void
revoke_while_signing(void *context)
{
    struct race *race = context;

    signer.while_signing = NULL;
    mark_revoked(race->fixture->rq->arena, race->serial);
    cache_drop(race->fixture->responder.cache, race->serial);
}

static void
an_answer_that_an_event_overtook_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    struct race race = {fixture, issue(fixture->rq->arena)};
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, race.serial);

    signer.while_signing = revoke_while_signing;
    signer.while_signing_context = &race;
    assert_string_equal(ask(fixture, request), "response 1");
    assert_string_equal(ask(fixture, request), "response 2");
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_REVOKED);
}

/* ---- what is not ---- */

static void
unknown_is_never_kept(void **state)
{
    struct fixture *fixture = *state;
    struct serial invented = serial_new(clock_now_s() + 90 * DAY_S);
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, BYTES(invented.octets, SERIAL_LEN));
    struct exchange exchange = {0};

    assert_ok(&exchange.x.rq, post(fixture, &exchange, request));
    assert_string_equal(header(&exchange, "Cache-Control"), "no-store");
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_UNKNOWN);
    end(&exchange);
    assert_string_equal(ask(fixture, request), "response 2");
}

static void
what_has_a_nonce_is_never_kept_nor_taken_from_the_cache(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena);
    AUTO(OCSP_REQUEST, with_nonce) = OCSP_REQUEST_new();
    unsigned char nonce[32];
    struct exchange exchange = {0};

    memset(nonce, 7, sizeof nonce);
    ask_about(with_nonce, signer.issuing, serial, EVP_sha1());
    OCSP_request_add1_nonce(with_nonce, nonce, sizeof nonce);
    struct bytes request = request_der(fixture->rq->arena, with_nonce);
    assert_string_equal(ask(fixture, request_for(fixture->rq->arena, signer.issuing, serial)), "response 1");
    assert_ok(&exchange.x.rq, post(fixture, &exchange, request));
    assert_string_equal(header(&exchange, "Cache-Control"), "no-store");
    assert_true(bytes_equal(signer.last_nonce, BYTES(nonce, sizeof nonce)));
    end(&exchange);
    assert_string_equal(ask(fixture, request), "response 3");
    assert_string_equal(ask(fixture, request_for(fixture->rq->arena, signer.issuing, serial)), "response 1");
}

static void
several_certificates_are_answered_together_and_never_kept(void **state)
{
    struct fixture *fixture = *state;
    AUTO(OCSP_REQUEST, both) = OCSP_REQUEST_new();

    ask_about(both, signer.issuing, issue(fixture->rq->arena), EVP_sha1());
    ask_about(both, signer.issuing, issue(fixture->rq->arena), EVP_sha256());
    struct bytes request = request_der(fixture->rq->arena, both);
    assert_string_equal(ask(fixture, request), "response 1");
    assert_int_equal(signer.last_count, 2);
    assert_string_equal(ask(fixture, request), "response 2");
}

/* ---- how much of it ---- */

/* A minute's worth of a case: two of each kind. */
static void
limit_unshared(struct fixture *fixture)
{
    rate_limiter_free(fixture->responder.unshared);
    fixture->responder.unshared = rate_limiter_new(1, 2);
}

static struct bytes
unknown_request(struct fixture *fixture)
{
    struct serial invented = serial_new(clock_now_s() + 90 * DAY_S);

    return request_for(fixture->rq->arena, signer.issuing, BYTES(invented.octets, SERIAL_LEN));
}

static struct bytes
nonce_request(struct fixture *fixture, struct bytes serial, unsigned char octet)
{
    AUTO(OCSP_REQUEST, with_nonce) = OCSP_REQUEST_new();
    unsigned char nonce[16];

    memset(nonce, octet, sizeof nonce);
    ask_about(with_nonce, signer.issuing, serial, EVP_sha1());
    OCSP_request_add1_nonce(with_nonce, nonce, sizeof nonce);
    return request_der(fixture->rq->arena, with_nonce);
}

static void
assert_later(struct fixture *fixture, struct bytes request)
{
    struct exchange exchange = {0};

    assert_int_equal(post(fixture, &exchange, request), ERR_RATE_LIMITED);
    assert_true(exchange.x.rq.failure.retry_after_s > 0);
    end(&exchange);
}

static void
unknown_serials_are_signed_for_so_often_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena);

    limit_unshared(fixture);
    assert_string_equal(ask(fixture, unknown_request(fixture)), "response 1");
    assert_string_equal(ask(fixture, unknown_request(fixture)), "response 2");
    assert_later(fixture, unknown_request(fixture));
    assert_int_equal(signer.signed_responses, 2);
    /* What is known is signed for in any case, and so is what others want for themselves. */
    assert_string_equal(ask(fixture, request_for(fixture->rq->arena, signer.issuing, serial)), "response 3");
    assert_string_equal(ask(fixture, nonce_request(fixture, serial, 1)), "response 4");
}

static void
nonces_beyond_the_limit_are_answered_without(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena);

    limit_unshared(fixture);
    assert_string_equal(ask(fixture, nonce_request(fixture, serial, 1)), "response 1");
    assert_string_equal(ask(fixture, nonce_request(fixture, serial, 2)), "response 2");
    assert_int_equal(signer.last_nonce.len, 16);
    for (unsigned char i = 3; i < 6; i++)
        assert_string_equal(ask(fixture, nonce_request(fixture, serial, i)), "response 3");
    assert_int_equal(signer.last_nonce.len, 0);
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_GOOD);
}

static void
several_certificates_beyond_the_limit_have_to_wait(void **state)
{
    struct fixture *fixture = *state;
    AUTO(OCSP_REQUEST, both) = OCSP_REQUEST_new();

    limit_unshared(fixture);
    ask_about(both, signer.issuing, issue(fixture->rq->arena), EVP_sha1());
    ask_about(both, signer.issuing, issue(fixture->rq->arena), EVP_sha1());
    struct bytes request = request_der(fixture->rq->arena, both);
    assert_string_equal(ask(fixture, request), "response 1");
    assert_string_equal(ask(fixture, request), "response 2");
    assert_later(fixture, request);
    assert_int_equal(signer.signed_responses, 2);
}

/* ---- bad days ---- */

static void
without_the_bus_what_is_kept_is_checked_against_the_database(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena), request = request_for(fixture->rq->arena, signer.issuing, serial);
    struct exchange exchange = {0};

    ask_three_times(fixture, request, "response 1");
    fixture->responder.live = false;
    assert_ok(&exchange.x.rq, post(fixture, &exchange, request));
    assert_true(exchange.deferred);
    end(&exchange);
    assert_int_equal(signer.signed_responses, 1);

    mark_revoked(fixture->rq->arena, serial);
    assert_string_equal(ask(fixture, request), "response 2");
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_REVOKED);
}

static void
revoked_and_unreachable_signer_is_never_answered_with_good(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena), request = request_for(fixture->rq->arena, signer.issuing, serial);
    struct exchange exchange = {0};

    ask_three_times(fixture, request, "response 1");
    fixture->responder.live = false;
    mark_revoked(fixture->rq->arena, serial);
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(post(fixture, &exchange, request), ERR_UNAVAILABLE);
    end(&exchange);
}

static void
without_the_database_what_is_kept_is_given(void **state)
{
    struct fixture *fixture = *state;
    struct responder *responder = &fixture->responder;
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct bytes other = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct db *database = responder->db;
    struct exchange exchange = {0};

    assert_string_equal(ask(fixture, request), "response 1");
    responder->db = fixture->away;
    assert_string_equal(ask(fixture, request), "response 1");
    responder->live = false;
    assert_string_equal(ask(fixture, request), "response 1");
    assert_true(error_is_retriable(post(fixture, &exchange, other)));
    end(&exchange);
    responder->db = database;
}

static void
is_renewed_in_time_and_given_longer_while_the_signer_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct exchange exchange = {0};

    ask_three_times(fixture, request, "response 1");
    later_s = 14400 - 300 - 14400 / 8 - 5;
    assert_string_equal(ask(fixture, request), "response 1");
    later_s += 10;
    signer.failing = ERR_UNAVAILABLE;
    assert_string_equal(ask(fixture, request), "response 1");
    signer.failing = OK;
    assert_string_equal(ask(fixture, request), "response 2");
    later_s += 14400 - 300 + 5;
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(post(fixture, &exchange, request), ERR_UNAVAILABLE);
    end(&exchange);
}

/* A cache behind us may not keep an answer beyond the certificate that vouches for it. */
static void
no_cache_keeps_an_answer_beyond_its_end(void **state)
{
    struct fixture *fixture = *state;
    struct exchange exchange = {0};

    signer.responder_not_after_s = clock_now_s() + 100;
    assert_ok(&exchange.x.rq, post(fixture, &exchange, request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena))));
    int64_t max_age = strtoll(header(&exchange, "Cache-Control") + strlen("max-age="), NULL, 10);
    assert_in_range(max_age, 1, 50);
    end(&exchange);
}

/* ---- what comes in ---- */

static void
refuses_what_is_not_an_ocsp_request(void **state)
{
    struct fixture *fixture = *state;
    struct bytes request = request_for(fixture->rq->arena, signer.issuing, issue(fixture->rq->arena));
    struct {
        const char *type;
        struct bytes body;
        enum error error;
    } cases[] = {
        {NULL, request, OK},
        {"application/ocsp-request", request, OK},
        {"Application/OCSP-Request; charset=x", request, OK},
        {"text/html", request, ERR_BAD_REQUEST},
        {NULL, BYTES("garbage", 7), ERR_BAD_REQUEST},
        {NULL, BYTES("", 0), ERR_BAD_REQUEST},
        {NULL, BYTES(request.at, request.len - 1), ERR_BAD_REQUEST},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct exchange exchange = {.content_type = cases[i].type};
        assert_int_equal(post(fixture, &exchange, cases[i].body), cases[i].error);
        end(&exchange);
    }
}

static void
refuses_certificates_of_strangers(void **state)
{
    struct fixture *fixture = *state;
    struct bytes stranger =
        kit_certificate(fixture->rq->arena, &(struct kit_certificate){.key = signer.key, .subject = "/CN=Stranger", .is_ca = true});
    struct exchange exchange = {0};

    assert_int_equal(post(fixture, &exchange, request_for(fixture->rq->arena, stranger, issue(fixture->rq->arena))), ERR_NOT_FOUND);
    assert_int_equal(signer.signed_responses, 0);
    end(&exchange);
}

static enum error
get(struct fixture *fixture, struct exchange *exchange, const char *path)
{
    struct http_exchange *x = &exchange->x;

    x->rq.arena = fixture->rq->arena;
    x->internal = exchange;
    x->params[0] = path;
    return answer_get(&fixture->responder, x);
}

static void
reads_base64_in_the_path(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const char *base64 = base64_encode(arena, request_for(arena, signer.issuing, issue(arena)));
    struct buffer escaped = buffer_in(arena);
    uint8_t *long_der = arena_alloc(arena, OCSP_REQUEST_MAX + 3);
    struct {
        const char *path;
        enum error error;
        const char *says;
    } cases[] = {
        {base64, OK, ""},
        {NULL, OK, ""},
        {"!!", ERR_BAD_REQUEST, "base64"},
        {"%4", ERR_BAD_REQUEST, "base64"},
        {"", ERR_BAD_REQUEST, ""},
        {base64_encode(arena, BYTES(long_der, OCSP_REQUEST_MAX + 3)), ERR_BAD_REQUEST, "base64"},
    };

    for (const char *at = base64; *at != '\0'; at++)
        buffer_append_format(&escaped, "%%%02X", (unsigned char)*at);
    cases[1].path = buffer_text(&escaped);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct exchange exchange = {0};
        assert_int_equal(get(fixture, &exchange, cases[i].path), cases[i].error);
        assert_non_null(strstr(exchange.x.rq.failure.message, cases[i].says));
        end(&exchange);
    }
    assert_int_equal(signer.signed_responses, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        ANSWER_CASE(answers_from_the_cache_on_the_loop),
        ANSWER_CASE(what_was_asked_lately_is_answered_unread),
        ANSWER_CASE(tells_who_has_the_answer_that_it_is_unchanged),
        ANSWER_CASE(a_revocation_is_told_after_its_event),
        ANSWER_CASE(a_revocation_is_told_in_a_while_although_its_event_never_comes),
        ANSWER_CASE(an_answer_that_an_event_overtook_is_not_kept),
        ANSWER_CASE(unknown_is_never_kept),
        ANSWER_CASE(what_has_a_nonce_is_never_kept_nor_taken_from_the_cache),
        ANSWER_CASE(several_certificates_are_answered_together_and_never_kept),
        ANSWER_CASE(unknown_serials_are_signed_for_so_often_and_no_more),
        ANSWER_CASE(nonces_beyond_the_limit_are_answered_without),
        ANSWER_CASE(several_certificates_beyond_the_limit_have_to_wait),
        ANSWER_CASE(without_the_bus_what_is_kept_is_checked_against_the_database),
        ANSWER_CASE(revoked_and_unreachable_signer_is_never_answered_with_good),
        ANSWER_CASE(without_the_database_what_is_kept_is_given),
        ANSWER_CASE(is_renewed_in_time_and_given_longer_while_the_signer_is_away),
        ANSWER_CASE(no_cache_keeps_an_answer_beyond_its_end),
        ANSWER_CASE(refuses_what_is_not_an_ocsp_request),
        ANSWER_CASE(refuses_certificates_of_strangers),
        ANSWER_CASE(reads_base64_in_the_path),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
