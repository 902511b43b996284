/* The list of an account's orders: pages, cursors, what is left out. */
#include "gateway_fixture.h"

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
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static void
make_orders(int count, const char *status)
{
    postgres_kit_run(
        postgres,
        arena_format(
            me.arena,
            "INSERT INTO acme.orders (id, account_id, status, names, authorization_ids, authorizations_left, client_address, "
            "created_at, expires_at, serial, expiry_month) SELECT 'order' || lpad(i::text, 17, '0'), a.id, '%s', '{dns:a.example}', '{}', 0, '', "
            "now() - make_interval(secs => i / 2), now() + interval '1 day', '', 0 FROM generate_series(1, %d) i, acme.account a",
            status, count));
}

static const char *
orders_url(void)
{
    return arena_format(me.arena, "%s/orders", me.kid);
}

static size_t
count_of(const struct http_kit_reply *reply)
{
    return json_array_size(json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "orders"));
}

static void
the_account_says_where_its_orders_are(void **state)
{
    assert_string_equal(member(&me, client_post(&me, me.kid, ""), "orders"), orders_url());
    const struct http_kit_reply *reply = client_post(&me, orders_url(), "");
    assert_status(reply, 200);
    assert_int_equal(count_of(reply), 0);
}

static const char *
next_of(const struct http_kit_reply *reply)
{
    /* Two Link headers: this one comes before rel="index". */
    const char *link = header_of(&me, reply, "Link");
    const char *close = strchr(link, '>');
    return strstr(link, "rel=\"next\"") == NULL ? NULL : arena_format(me.arena, "%.*s", (int)(close - link - 1), link + 1);
}

static void
pages_follow_each_other_without_loss_and_without_end(void **state)
{
    size_t seen = 0, pages = 0;
    const char *url = orders_url();

    make_orders(250, "valid");
    for (; url != NULL; pages++) {
        const struct http_kit_reply *reply = client_post(&me, url, "");
        assert_status(reply, 200);
        seen += count_of(reply);
        url = next_of(reply);
    }
    assert_int_equal(seen, 250);
    assert_int_equal(pages, 3);
}

static void
invalid_orders_are_left_out(void **state)
{
    make_orders(120, "invalid");
    const struct http_kit_reply *reply = client_post(&me, orders_url(), "");
    assert_int_equal(count_of(reply), 0);
    assert_non_null(next_of(reply));
}

static void
an_expired_order_is_left_out(void **state)
{
    make_orders(3, "ready");
    postgres_kit_run(postgres, "UPDATE acme.orders SET expires_at = now() WHERE id LIKE '%1'");
    assert_int_equal(count_of(client_post(&me, orders_url(), "")), 2);
}

static void
another_account_sees_nothing(void **state)
{
    CLIENT(other);

    client_register(&other);
    assert_problem(&other, client_post(&other, orders_url(), ""), 403, "unauthorized");
}

static void
cursors_that_are_not_ours_are_malformed(void **state)
{
    static const char *const cursors[] = {"x",
                                          "1.",
                                          ".AAAAAAAAAAAAAAAAAAAAAA",
                                          "1.AAAAAAAAAAAAAAAAAAAAA",
                                          "99999999999999999999.AAAAAAAAAAAAAAAAAAAAAA",
                                          "-1.AAAAAAAAAAAAAAAAAAAAAA",
                                          "1.%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff%ff"};

    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++)
        assert_problem(&me, client_post(&me, arena_format(me.arena, "%s?cursor=%s", orders_url(), cursors[i]), ""), 400, "malformed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_account_says_where_its_orders_are, begin, end),
        cmocka_unit_test_setup_teardown(pages_follow_each_other_without_loss_and_without_end, begin, end),
        cmocka_unit_test_setup_teardown(invalid_orders_are_left_out, begin, end),
        cmocka_unit_test_setup_teardown(an_expired_order_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(another_account_sees_nothing, begin, end),
        cmocka_unit_test_setup_teardown(cursors_that_are_not_ours_are_malformed, begin, end),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
