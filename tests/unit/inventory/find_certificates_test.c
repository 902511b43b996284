/* The search: names from both ends, filters, pages. */
#include "inventory_fixture.h"

static void
three_certificates(struct fixture *fixture)
{
    Pb__CertificateIssued *first = issued(fixture->rq, 1, "www.example.org,mail.example.org"), *second = issued(fixture->rq, 2, "www.example.net"),
                          *third = issued(fixture->rq, 3, "a_b.example.org,axb.example.com");

    second->issued_at_s++;
    third->issued_at_s += 2;
    HEAR(fixture, on_certificate_issued, first, second, third);
}

static void
finds_names_from_both_ends(void **state)
{
    static const struct {
        const char *name, *found;
    } cases[] = {
        {"www.example.org", "1"}, {"WWW.Example.ORG", "1"}, {"www.*", "2,1"}, {"*.example.org", "3,1"}, {"www.*.org", "1"}, {"*example*", "3,2,1"},
        {"*", "3,2,1"},           {"example.org", ""},      {"www", ""},      {"*www.example.ne", ""},
    };
    struct fixture *fixture = *state;

    three_certificates(fixture);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
        request.name = cases[i].name;
        Pb__FindCertificatesReply reply = search(fixture, &request);
        assert_string_equal(numbers_of(fixture->rq, &reply), cases[i].found);
    }
}

static void
takes_wildcards_of_sql_literally(void **state)
{
    static const struct {
        const char *name, *found;
    } cases[] = {{"a_b.example.org", "3"}, {"a_b.*", "3"}, {"_xb.example.com", ""}, {"%", ""}, {"www.%", ""}, {"a\\_b*", ""}, {"*\\", ""}};
    struct fixture *fixture = *state;

    three_certificates(fixture);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
        request.name = cases[i].name;
        Pb__FindCertificatesReply reply = search(fixture, &request);
        assert_string_equal(numbers_of(fixture->rq, &reply), cases[i].found);
    }
}

static void
finds_common_names_and_names_in_capitals_and_utf8(void **state)
{
    struct fixture *fixture = *state;
    AUTO(EVP_PKEY, key) = kit_key("p256");
    Pb__CertificateIssued *event = issued(fixture->rq, 1, "Alice@Example.org");
    const char *const found[] = {"team blüe*", "*Code Signing", "Team Blüe Code Signing", "alice@example.org", "*ALICE@example.org"};

    event->certificate =
        message_data(kit_certificate(fixture->rq->arena, &(struct kit_certificate){.key = key, .subject = "/O=Example/CN=Team Blüe Code Signing"}));
    HEAR(fixture, on_certificate_issued, event);
    for (size_t i = 0; i < COUNT_OF(found); i++) {
        Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
        request.name = found[i];
        assert_int_equal(search(fixture, &request).n_entries, 1);
    }
    Pb__FindCertificatesRequest organisation = PB__FIND_CERTIFICATES_REQUEST__INIT;
    organisation.name = "Example";
    assert_int_equal(search(fixture, &organisation).n_entries, 0);
}

static void
finds_by_what_a_certificate_is(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *one = issued(fixture->rq, 1, "a.example"), *other = issued(fixture->rq, 2, "b.example");

    other->owner = "team-red";
    other->issuer = "other-issuing";
    other->channel = "operator";
    other->template_ = "Code-Signing";
    other->issued_at_s++;
    HEAR(fixture, on_certificate_issued, one, other);

    Pb__FindCertificatesRequest all = PB__FIND_CERTIFICATES_REQUEST__INIT, owner = all, issuer = all, protocol = all, template = all, both = all;
    owner.owner = "team-red";
    issuer.issuer = ISSUER;
    protocol.protocol = "operator";
    template.template_ = "Web Server";
    both.owner = "team-red";
    both.issuer = ISSUER;
    const struct {
        const Pb__FindCertificatesRequest *request;
        const char *found;
    } cases[] = {{&all, "2,1"}, {&owner, "2"}, {&issuer, "1"}, {&protocol, "2"}, {&template, "1"}, {&both, ""}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Pb__FindCertificatesReply reply = search(fixture, cases[i].request);
        assert_string_equal(numbers_of(fixture->rq, &reply), cases[i].found);
    }
}

static void
tells_valid_revoked_and_expired_apart(void **state)
{
    static const struct {
        const char *status, *found;
    } cases[] = {{"valid", "1"}, {"expired", "2"}, {"revoked", "4,3"}, {"", "4,3,2,1"}};
    struct fixture *fixture = *state;
    Pb__CertificateIssued *valid = issued(fixture->rq, 1, "a.example"), *expired = issued(fixture->rq, 2, "b.example"),
                          *gone = issued(fixture->rq, 3, "c.example"), *gone_and_expired = issued(fixture->rq, 4, "d.example");

    expired->not_after_s = gone_and_expired->not_after_s = clock_now_s() - 10;
    HEAR(fixture, on_certificate_issued, valid, expired, gone, gone_and_expired);
    HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, 3, 1700000100, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED),
         revoked(fixture->rq, 4, 1700000200, PB__REVOCATION_REASON__REVOCATION_REASON_UNSPECIFIED));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
        request.status = cases[i].status;
        Pb__FindCertificatesReply reply = search(fixture, &request);
        assert_string_equal(numbers_of(fixture->rq, &reply), cases[i].found);
        for (size_t k = 0; k < reply.n_entries && cases[i].status[0] != '\0'; k++)
            assert_string_equal(reply.entries[k]->status, cases[i].status);
    }
}

static void
finds_between_two_times_of_expiry(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *soon = issued(fixture->rq, 1, "a.example"), *late = issued(fixture->rq, 2, "b.example");
    Pb__FindCertificatesRequest before = PB__FIND_CERTIFICATES_REQUEST__INIT, after = before, between = before;

    soon->not_after_s = clock_now_s() + 5 * DAY_S;
    HEAR(fixture, on_certificate_issued, soon, late);
    before.expires_before_s = after.expires_after_s = between.expires_after_s = clock_now_s() + 30 * DAY_S;
    between.expires_before_s = clock_now_s() + 40 * DAY_S;
    Pb__FindCertificatesReply found_before = search(fixture, &before), found_after = search(fixture, &after);
    assert_string_equal(numbers_of(fixture->rq, &found_before), "1");
    assert_string_equal(numbers_of(fixture->rq, &found_after), "2");
    assert_int_equal(search(fixture, &between).n_entries, 0);
}

/* Certificates of one second are told apart by their fingerprints. */
static void
pages_neither_repeat_nor_skip_where_times_are_equal(void **state)
{
    struct fixture *fixture = *state;
    Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
    struct buffer seen = buffer_in(fixture->rq->arena);
    int pages = 0;

    for (uint8_t number = 1; number <= 6; number++)
        HEAR(fixture, on_certificate_issued, issued(fixture->rq, number, "a.example"));
    request.limit = 2;
    do {
        Pb__FindCertificatesReply reply = search(fixture, &request);
        buffer_append_format(&seen, "%s ", numbers_of(fixture->rq, &reply));
        request.cursor = reply.next_cursor;
        pages++;
        if (pages == 1) { /* newer than what was seen: not on a later page */
            Pb__CertificateIssued *newer = issued(fixture->rq, 9, "a.example");
            newer->issued_at_s += 100;
            HEAR(fixture, on_certificate_issued, newer);
        }
    } while (request.cursor[0] != '\0' && pages < 10);
    assert_string_equal(buffer_text(&seen), "6,5 4,3 2,1 ");
}

/* With long names a thousand certificates are more than the bus carries at once. */
static void
cuts_a_page_that_would_not_fit_on_the_bus(void **state)
{
    struct fixture *fixture = *state;
    Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
    char *names = arena_alloc(fixture->rq->arena, 400 * 211 + 1), *at = names;
    size_t seen = 0;
    int pages = 0;

    for (int i = 0; i < 400; i++)
        at += sprintf(at, "%s%03d%0*d", i ? "," : "", i, 207, 0);
    for (uint8_t number = 1; number <= 20; number++)
        HEAR(fixture, on_certificate_issued, issued(fixture->rq, number, names));
    request.limit = 1000;
    do {
        Pb__FindCertificatesReply reply = search(fixture, &request);
        assert_true(protobuf_c_message_get_packed_size(&reply.base) < 1024 * 1024 - 4096);
        assert_true(reply.n_entries > 0);
        assert_int_equal(reply.entries[0]->n_names, 400);
        seen += reply.n_entries;
        request.cursor = reply.next_cursor;
        pages++;
    } while (request.cursor[0] != '\0' && pages < 30);
    assert_int_equal(seen, 20);
    assert_true(pages > 1);
}

static void
refuses_what_is_not_a_search(void **state)
{
    static const Pb__FindCertificatesRequest nothing = PB__FIND_CERTIFICATES_REQUEST__INIT;
    struct fixture *fixture = *state;
    char *long_text = arena_alloc(fixture->rq->arena, 302);
    Pb__FindCertificatesRequest status = nothing, limit = nothing, name = nothing, before = nothing, after = nothing;
    struct {
        Pb__FindCertificatesRequest *request;
        const char *says;
    } cases[] = {{&status, "status"}, {&limit, "limit"}, {&name, "300"}, {&before, "expiry"}, {&after, "expiry"}};

    memset(long_text, 'a', 301);
    status.status = "good";
    limit.limit = 1001;
    name.name = long_text;
    before.expires_before_s = INT64_MAX;
    after.expires_after_s = -1;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Pb__FindCertificatesReply reply = PB__FIND_CERTIFICATES_REPLY__INIT;
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_equal(find_certificates(&fixture->inventory, rq, cases[i].request, &reply), ERR_BAD_REQUEST);
        assert_non_null(strstr(rq->failure.message, cases[i].says));
    }
    limit.limit = 1000;
    long_text[300] = '\0';
    assert_int_equal(search(fixture, &limit).n_entries + search(fixture, &name).n_entries, 0);
}

static void
refuses_cursors_that_no_search_has_answered(void **state)
{
    static const char *const cursors[] = {"x",
                                          "1700000000",
                                          "1700000000.",
                                          "1700000000.00ff",
                                          "-5.0000000000000000000000000000000000000000000000000000000000000000",
                                          "99999999999999999999.0000000000000000000000000000000000000000000000000000000000000000",
                                          "1.000000000000000000000000000000000000000000000000000000000000000g"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(cursors); i++) {
        Pb__FindCertificatesRequest request = PB__FIND_CERTIFICATES_REQUEST__INIT;
        Pb__FindCertificatesReply reply = PB__FIND_CERTIFICATES_REPLY__INIT;
        AUTO_STRUCT(request, rq) = request_new();
        request.cursor = cursors[i];
        assert_int_equal(find_certificates(&fixture->inventory, rq, &request, &reply), ERR_BAD_REQUEST);
        assert_non_null(strstr(rq->failure.message, "cursor"));
    }
    Pb__FindCertificatesRequest farthest = PB__FIND_CERTIFICATES_REQUEST__INIT;
    farthest.cursor = "9223372036854775807.0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(search(fixture, &farthest).n_entries, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(finds_names_from_both_ends),
        CASE(takes_wildcards_of_sql_literally),
        CASE(finds_common_names_and_names_in_capitals_and_utf8),
        CASE(finds_by_what_a_certificate_is),
        CASE(tells_valid_revoked_and_expired_apart),
        CASE(finds_between_two_times_of_expiry),
        CASE(pages_neither_repeat_nor_skip_where_times_are_equal),
        CASE(cuts_a_page_that_would_not_fit_on_the_bus),
        CASE(refuses_what_is_not_a_search),
        CASE(refuses_cursors_that_no_search_has_answered),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
