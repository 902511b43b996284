/* What is forgotten, and what never. */
#include "gateway_fixture.h"

#include "base/base64.h"

static int
begin(void **state)
{
    postgres_kit_run(postgres, "INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address) "
                               "VALUES ('me', '\\x01', '{}', '{}', true, '')");
    return 0;
}

static int
begin_group(void **state)
{
    int status = open_gateway(state);

    gateway.config.keep_days = 90;
    return status;
}

static int
end(void **state)
{
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.star, acme.star_certificate;"
                               "UPDATE acme.prune_place SET (orders_page, authorizations_page, star_certificates_page) = (0, 0, 0)");
    return 0;
}

/* An order with an authorisation and a challenge of its own, all named alike, that expired so many days ago. */
static void
put_order(const char *id, const char *status, int expired_days)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    postgres_kit_run(
        postgres,
        arena_format(arena,
                     "INSERT INTO acme.orders (id, account_id, status, names, authorization_ids, authorizations_left, client_address, created_at, "
                     "expires_at, csr, due_at, serial, expiry_month) VALUES ('%s', 'me', '%s', '{dns:a.example}', '{%s}', 0, '', "
                     "now() - make_interval(days => %d + 7), now() - make_interval(days => %d), '', now(), '\\x01', 1000);"
                     "INSERT INTO acme.authorization (id, account_id, order_id, name, expires_at) VALUES ('%s', 'me', '%s', 'dns:a.example', "
                     "now() - make_interval(days => %d));"
                     "INSERT INTO acme.challenge (id, authorization_id, offered, token) VALUES ('%s', '%s', '{http-01}', '')",
                     id, status, id, expired_days, expired_days, id, id, expired_days, id, id));
}

/* Whole turns until all tables were walked. */
static void
prune(int keep_days, int pages)
{
    AUTO_STRUCT(request, rq) = request_new();
    int64_t orders, authorizations;
    bool walked = false;

    for (int turns = 0; !walked && turns < 1000; turns++) {
        assert_int_equal(store_prune(&gateway, rq, keep_days, pages, &orders, &authorizations), OK);
        char *place = postgres_kit_ask(postgres, "SELECT orders_page + authorizations_page + star_certificates_page FROM acme.prune_place");
        walked = strcmp(place, "0") == 0;
        free(place);
    }
    assert_true(walked);
}

static void
assert_left(const char *orders, const char *authorizations)
{
    static const char *const tables[] = {"acme.orders", "acme.authorization", "acme.challenge"};
    const char *const expected[] = {orders, authorizations, authorizations};
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        char *found = postgres_kit_ask(postgres, arena_format(arena, "SELECT coalesce(string_agg(id, ' ' ORDER BY id), '') FROM %s", tables[i]));
        assert_string_equal(found, expected[i]);
        free(found);
    }
}

static void
orders_without_a_certificate_go_when_they_expired_long_ago(void **state)
{
    static const char *const statuses[] = {"pending", "ready", "invalid", "processing", "valid"};
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        put_order(arena_format(arena, "old-%s", statuses[i]), statuses[i], 91);
        put_order(arena_format(arena, "young-%s", statuses[i]), statuses[i], 89);
    }
    prune(90, 1000);
    assert_left("old-processing old-valid young-invalid young-pending young-processing young-ready young-valid",
                "old-processing old-valid young-invalid young-pending young-processing young-ready young-valid");
}

/* Of a month before, in, or after that in which the days to keep began. */
static void
put_issued(const char *id, const char *status, int months)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    put_order(id, status, 100);
    postgres_kit_run(postgres, arena_format(arena, "UPDATE acme.orders SET expiry_month = %d WHERE id = '%s'",
                                            serial_month_of(clock_now_s() - 90 * INT64_C(86400)) + months, id));
}

static void
orders_go_when_their_certificates_expired_long_ago(void **state)
{
    put_issued("canceled-before", "canceled", -1);
    put_issued("canceled-in", "canceled", 0);
    put_issued("processing-before", "processing", -1);
    put_issued("valid-after", "valid", 1);
    put_issued("valid-before", "valid", -1);
    put_issued("valid-in", "valid", 0);
    prune(90, 1000);
    assert_left("canceled-in processing-before valid-after valid-in", "canceled-in processing-before valid-after valid-in");
}

/* The one that ends later has had no certificate for months, and may have one tomorrow. */
static void
an_order_that_is_renewed_goes_with_its_renewal_when_both_have_ended(void **state)
{
    put_issued("ended", "valid", -3);
    put_issued("not-ended", "valid", -3);
    postgres_kit_run(postgres, "UPDATE acme.orders SET auto_renewal = '{}'; UPDATE acme.orders SET expires_at = now() WHERE id = 'not-ended';"
                               "INSERT INTO acme.star (order_id) VALUES ('ended'), ('not-ended')");
    prune(90, 1000);
    assert_left("not-ended", "not-ended");
    char *left = postgres_kit_ask(postgres, "SELECT string_agg(order_id, ' ') FROM acme.star");
    assert_string_equal(left, "not-ended");
    free(left);
}

/* Else it could be replaced again, and each time outside of all limits. */
static void
an_order_stays_as_long_as_the_certificate_that_it_replaces(void **state)
{
    static const char *const ids[] = {"of-a-long-life", "of-a-short-life"};
    AUTO_STRUCT(arena, arena) = arena_new();

    for (int i = 0; i < 2; i++) {
        struct serial replaced = serial_new(clock_now_s() - (i == 0 ? 80 : 150) * INT64_C(86400));
        put_issued(ids[i], "valid", -2);
        postgres_kit_run(postgres, arena_format(arena, "UPDATE acme.orders SET replaces = 'qrvM3Q.%s' WHERE id = '%s'",
                                                base64url_encode(arena, BYTES(replaced.octets, SERIAL_LEN)), ids[i]));
    }
    prune(90, 1000);
    assert_left("of-a-long-life", "of-a-long-life");
}

static void
an_authorization_stays_as_long_as_an_order_that_has_it(void **state)
{
    put_order("first", "invalid", 100);
    put_order("second", "valid", 95);
    put_order("alone", "invalid", 100);
    postgres_kit_run(postgres, "UPDATE acme.orders SET authorization_ids = '{first,second}' WHERE id = 'second';"
                               "UPDATE acme.authorization SET order_id = NULL WHERE id = 'alone'");
    prune(90, 1000);
    assert_left("second", "first second");
}

/* One account has used one authorisation of several for all of the week that it held; those of another account have no orders at all. */
static void
what_an_order_used_on_its_last_day_stays(void **state)
{
    postgres_kit_run(postgres, "INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address) "
                               "VALUES ('other', '\\x02', '{}', '{}', true, '')");
    for (int i = 0; i < 9; i++) {
        put_order((const char[]){(char)('a' + i), '\0'}, "invalid", 200 + i);
        put_order((const char[]){(char)('p' + i), '\0'}, "valid", 190 + i);
    }
    postgres_kit_run(postgres, "UPDATE acme.orders SET authorization_ids = authorization_ids || '{c}' WHERE id IN ('p', 'x');"
                               "UPDATE acme.orders SET created_at = (SELECT expires_at - interval '1 s' FROM acme.authorization WHERE id = 'c') "
                               "WHERE id = 'p'; UPDATE acme.authorization SET account_id = 'other' WHERE id IN ('a', 'b')");
    prune(90, 1000);
    assert_left("p q r s t u v w x", "c p q r s t u v w x");
}

static void
the_list_of_renewed_certificates_is_forgotten_by_months(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    int month = serial_month_of(clock_now_s() - 90 * INT64_C(86400));

    for (int i = -2; i < 3; i++)
        postgres_kit_run(postgres, arena_format(arena, "INSERT INTO acme.star_certificate VALUES ('\\x%02x', %d, '%d')", i + 2, month + i, i));
    prune(90, 1000);
    char *left = postgres_kit_ask(postgres, "SELECT string_agg(order_id, ' ' ORDER BY serial) FROM acme.star_certificate");
    assert_string_equal(left, "0 1 2");
    free(left);
}

static void
renewal_windows_go_when_their_certificates_expired_long_ago(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO_STRUCT(request, rq) = request_new();
    int month = serial_month_of(clock_now_s() - 90 * INT64_C(86400));
    int64_t gone = 0;

    for (int i = -2; i < 2; i++)
        postgres_kit_run(postgres, arena_format(arena,
                                                "INSERT INTO acme.renewal_window (issuer, name, issued_before, starts_at, ends_at, explanation, "
                                                "expiry_month) VALUES ('%d', '', now(), now(), now(), '', %d)",
                                                i, month + i));
    assert_int_equal(store_prune_windows(&gateway, rq, 90, 1, &gone), OK);
    assert_int_equal(gone, 1);
    prune_turn(&gateway, rq);
    char *left = postgres_kit_ask(postgres, "SELECT string_agg(issuer, ' ' ORDER BY id) FROM acme.renewal_window");
    assert_string_equal(left, "0 1");
    free(left);
    postgres_kit_run(postgres, "TRUNCATE acme.renewal_window");
}

/* Without the order, nobody could tell that it was never proven. */
static void
an_order_that_was_approved_beforehand_stays_as_long_as_its_authorizations(void **state)
{
    put_order("approved", "invalid", 2);
    postgres_kit_run(postgres, "UPDATE acme.orders SET preapproved = names;"
                               "UPDATE acme.authorization SET status = 'valid', expires_at = now() + interval '3 days'");
    prune(1, 1000);
    assert_left("approved", "approved");
    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = now() - interval '2 days'");
    prune(1, 1000);
    assert_left("", "");
}

static void
nothing_younger_than_a_day_goes_whatever_is_asked(void **state)
{
    put_order("just", "invalid", 0);
    prune(0, 1000);
    prune(-100, 1000);
    assert_left("just", "just");
}

static void
the_tables_are_walked_page_by_page(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    int64_t orders, authorizations;

    put_order("first", "invalid", 100);
    postgres_kit_run(postgres,
                     "INSERT INTO acme.orders (id, account_id, names, authorization_ids, authorizations_left, client_address, expires_at, status) "
                     "SELECT n::text, 'me', '{}', '{}', 0, '', now() - interval '100 days', 'invalid' FROM generate_series(1, 1000) n");
    put_order("last", "invalid", 100);
    assert_int_equal(store_prune(&gateway, rq, 90, 1, &orders, &authorizations), OK);
    assert_true(orders > 0 && orders < 500);
    prune(90, 1);
    assert_left("", "");
}

/* However much there is, in turns that end. */
static void
a_turn_goes_on_while_there_is_something_to_forget(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    postgres_kit_run(
        postgres, "INSERT INTO acme.orders (id, account_id, names, authorization_ids, authorizations_left, client_address, expires_at, status) "
                  "SELECT n::text, 'me', '{}', '{}', 0, repeat('x', 1500), now() - interval '100 days', 'invalid' FROM generate_series(1, 7500) n");
    prune_turn(&gateway, rq);
    assert_left("", "");
}

static void
one_is_at_it_at_a_time(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    int64_t orders = 7, authorizations = 7;

    put_order("old", "invalid", 100);
    postgres_kit_run(postgres, "CREATE FUNCTION acme.prune_beside() RETURNS text LANGUAGE plpgsql AS $$ BEGIN "
                               "PERFORM FROM acme.prune_place FOR UPDATE; PERFORM pg_sleep(2); RETURN ''; END $$");
    pid_t other = fork();
    if (other == 0) {
        free(postgres_kit_ask(postgres, "SELECT acme.prune_beside()"));
        _exit(0);
    }
    for (int i = 0; i < 200; i++) {
        char *sleeping = postgres_kit_ask(postgres, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
        bool is_there = strcmp(sleeping, "1") == 0;
        free(sleeping);
        if (is_there)
            break;
        clock_sleep_ms(10);
    }
    assert_int_equal(store_prune(&gateway, rq, 90, 1000, &orders, &authorizations), OK);
    assert_int_equal(orders + authorizations, 0);
    assert_left("old", "old");
    waitpid(other, NULL, 0);
    prune(90, 1000);
    assert_left("", "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(orders_without_a_certificate_go_when_they_expired_long_ago),
        CASE(orders_go_when_their_certificates_expired_long_ago),
        CASE(an_order_that_is_renewed_goes_with_its_renewal_when_both_have_ended),
        CASE(an_order_stays_as_long_as_the_certificate_that_it_replaces),
        CASE(an_authorization_stays_as_long_as_an_order_that_has_it),
        CASE(what_an_order_used_on_its_last_day_stays),
        CASE(the_list_of_renewed_certificates_is_forgotten_by_months),
        CASE(renewal_windows_go_when_their_certificates_expired_long_ago),
        CASE(an_order_that_was_approved_beforehand_stays_as_long_as_its_authorizations),
        CASE(nothing_younger_than_a_day_goes_whatever_is_asked),
        CASE(the_tables_are_walked_page_by_page),
        CASE(a_turn_goes_on_while_there_is_something_to_forget),
        CASE(one_is_at_it_at_a_time),
    };
    return cmocka_run_group_tests_name("prune", tests, begin_group, close_gateway);
}
