/* ARI (RFC 9773): the window of a certificate, usual or moved, and identifiers that are not. */
#include "gateway_fixture.h"

#define DAY 86400

static struct client me;

static int
begin(void **state)
{
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge; TRUNCATE acme.renewal_window, "
                               "ra.issued_certificate, ra.certificate_status");
    return 0;
}

static const struct http_kit_reply *
ask(const char *id)
{
    return http_kit_get(me.http, arena_format(me.arena, "/acme/renewal-info/%s", id));
}

struct found {
    int64_t starts_s, ends_s;
    const char *explanation;
};

static struct found
window_of(const char *id)
{
    struct found found = {0};
    const struct http_kit_reply *reply = ask(id);
    assert_status(reply, 200);
    const json_t *json = json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
    const json_t *window = json_object_get(json, "suggestedWindow");
    assert_int_equal(clock_parse_rfc3339(json_text(window, "start"), &found.starts_s), 0);
    assert_int_equal(clock_parse_rfc3339(json_text(window, "end"), &found.ends_s), 0);
    assert_true(found.starts_s < found.ends_s);
    found.explanation = json_text(json, "explanationURL");
    return found;
}

static int64_t
now(void)
{
    return clock_now_s() / DAY * DAY;
}

static void
a_long_life_is_renewed_at_two_thirds(void **state)
{
    struct found window = window_of(put_certificate(me.arena, "host.example", now(), 90, NULL));

    assert_in_range(window.starts_s, now() + 58 * DAY, now() + 60 * DAY);
    assert_in_range(window.ends_s, now() + 60 * DAY, now() + 62 * DAY);
    assert_null(window.explanation);
}

static void
a_short_life_is_renewed_at_its_half(void **state)
{
    struct found window = window_of(put_certificate(me.arena, "host.example", now(), 6, NULL));

    assert_in_range(window.starts_s, now() + 3 * DAY - DAY / 10, now() + 3 * DAY);
    assert_in_range(window.ends_s, now() + 3 * DAY, now() + 3 * DAY + DAY / 10);
}

static void
the_answer_says_when_to_ask_again(void **state)
{
    static const struct {
        int days;
        const char *after;
    } lives[] = {{90, "21600"}, {1, "3599"}};

    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        const struct http_kit_reply *reply = ask(put_certificate(me.arena, "host.example", now(), lives[i].days, NULL));
        assert_string_equal(header_of(&me, reply, "Retry-After"), lives[i].after);
        assert_string_equal(header_of(&me, reply, "Content-Type"), "application/json");
    }
}

static void
a_revoked_certificate_is_due_now(void **state)
{
    const char *id = put_certificate(me.arena, "host.example", now(), 90, NULL);

    postgres_kit_run(postgres, "INSERT INTO ra.certificate_status SELECT serial, expiry_month, issuer, now(), now(), 1 FROM ra.issued_certificate");
    assert_true(window_of(id).ends_s < clock_now_s());
}

static void
move(const char *values)
{
    postgres_kit_run(postgres, arena_format(me.arena,
                                            "INSERT INTO acme.renewal_window (issuer, name, serial, issued_before, starts_at, ends_at, explanation) "
                                            "VALUES (%s, to_timestamp(1000000), to_timestamp(1003600), 'https://why.example')",
                                            values));
}

static void
an_operator_moves_the_window_of_a_selection(void **state)
{
    static const struct {
        const char *values; /* issuer, name, serial, issued_before */
        bool moved;
    } rows[] = {
        {"'test', '', NULL, now() + interval '1 day'", true},
        {"'other', '', NULL, now() + interval '1 day'", false},
        {"'', '', NULL, now() + interval '1 day'", true},
        {"'', '', NULL, now() - interval '20 days'", false},
        {"'', 'host.example', NULL, now() + interval '1 day'", true},
        {"'', 'example', NULL, now() + interval '1 day'", true},
        {"'', 'st.example', NULL, now() + interval '1 day'", false},
        {"'', '', '\\x01', now() + interval '1 day'", false},
        {"'', '', (SELECT serial FROM ra.issued_certificate), now() + interval '1 day'", true},
        {"'test', 'host.example', (SELECT serial FROM ra.issued_certificate), now() + interval '1 day'", true},
        {"'', 'elsewhere.example', (SELECT serial FROM ra.issued_certificate), now() + interval '1 day'", false},
        {"'other', '', (SELECT serial FROM ra.issued_certificate), now() + interval '1 day'", false},
    };
    const char *id = put_certificate(me.arena, "host.example", now() - 10 * DAY, 90, NULL);

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        move(rows[i].values);
        struct found window = window_of(id);
        postgres_kit_run(postgres, "TRUNCATE acme.renewal_window");
        if ((window.starts_s == 1000000) != rows[i].moved)
            fail_msg("%s: %s", rows[i].values, rows[i].moved ? "not moved" : "moved");
        if (rows[i].moved)
            assert_string_equal(window.explanation, "https://why.example");
    }
}

static void
the_newest_word_of_the_operator_counts(void **state)
{
    const char *id = put_certificate(me.arena, "host.example", now() - 10 * DAY, 90, NULL);

    move("'', '', NULL, now() + interval '1 day'");
    postgres_kit_run(postgres, "INSERT INTO acme.renewal_window (issuer, name, issued_before, starts_at, ends_at, explanation) "
                               "VALUES ('', 'example', now() + interval '1 day', to_timestamp(2000000), to_timestamp(2003600), '')");
    struct found window = window_of(id);
    assert_int_equal(window.starts_s, 2000000);
    assert_null(window.explanation);
}

static void
what_is_backdated_counts_from_its_issuance(void **state)
{
    const char *id = put_certificate(me.arena, "host.example", now() - 10 * DAY, 90, NULL);

    postgres_kit_run(postgres, "UPDATE ra.issued_certificate SET issued_at = now()");
    move("'', '', NULL, now() - interval '1 day'");
    assert_int_not_equal(window_of(id).starts_s, 1000000);
}

static void
identifiers_of_nothing_are_not_found(void **state)
{
    const char *id = put_certificate(me.arena, "host.example", now(), 90, NULL);
    const char *serial = strchr(id, '.') + 1;

    assert_problem(&me, ask("qrvM3Q.AQAB"), 404, "malformed");
    assert_problem(&me, ask(arena_format(me.arena, "qrvM3g.%s", serial)), 404, "malformed");
    assert_problem(&me, ask(arena_format(me.arena, ".%s", serial)), 404, "malformed");
    assert_problem(&me, ask(arena_format(me.arena, "%s/", id)), 404, "malformed");
    assert_problem(&me, ask("qrvM3Q"), 400, "malformed");
    assert_problem(&me, ask(arena_format(me.arena, "qrvM3Q==.%s", serial)), 400, "malformed");
    assert_problem(&me, ask(arena_format(me.arena, "%0300d.%s", 0, serial)), 400, "malformed");
    assert_status(ask(id), 200);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_long_life_is_renewed_at_two_thirds),        CASE(a_short_life_is_renewed_at_its_half),
        CASE(the_answer_says_when_to_ask_again),           CASE(a_revoked_certificate_is_due_now),
        CASE(an_operator_moves_the_window_of_a_selection), CASE(the_newest_word_of_the_operator_counts),
        CASE(what_is_backdated_counts_from_its_issuance),  CASE(identifiers_of_nothing_are_not_found),
    };

    return cmocka_run_group_tests_name("renewal_info", tests, open_gateway, close_gateway);
}
