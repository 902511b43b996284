/* What is in memory: the newest good one, whatever the database holds or whether it is there. */
#include "publisher_fixture.h"

static struct bytes
body_of(const char *issuer, enum shelf_part part)
{
    const struct document *document;

    if (shelf_find(publisher.shelf, rq, issuer, part, &document) != OK)
        fail_msg("%s", rq->failure.message);
    struct bytes copy = bytes_copy(rq->arena, document->body);
    shelf_release((void *)document);
    return copy;
}

static const char *
number_served(const char *issuer)
{
    struct crl crl;

    assert_int_equal(crl_parse(rq, body_of(issuer, SHELF_CRL), &crl), OK);
    return bytes_hex(rq->arena, crl.number, 0);
}

static enum error
look_for(const char *issuer, enum shelf_part part, int *ret_retry_after_s)
{
    AUTO_STRUCT(request, looking) = request_new();
    const struct document *document;
    enum error error = shelf_find(publisher.shelf, looking, issuer, part, &document);

    *ret_retry_after_s = looking->failure.retry_after_s;
    if (error == OK)
        shelf_release((void *)document);
    return error;
}

static enum error
check(const char **ret_why)
{
    AUTO_STRUCT(request, checking) = request_new();
    enum error error = shelf_check(&publisher, checking);

    *ret_why = arena_text(rq->arena, checking->failure.message);
    return error;
}

static void
make_due(void)
{
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now()");
}

static void
knows_nothing_before_the_database_was_read(void **state)
{
    const char *why;
    int retry_after_s;

    assert_int_equal(look_for("test-root", SHELF_CERTIFICATE, &retry_after_s), ERR_UNAVAILABLE);
    assert_true(retry_after_s > 0);
    assert_int_equal(check(&why), ERR_UNAVAILABLE);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_int_equal(look_for("test-root", SHELF_CERTIFICATE, &retry_after_s), ERR_NOT_FOUND);
    assert_int_equal(check(&why), OK);
}

static void
has_the_certificate_before_the_first_crl(void **state)
{
    const char *why;
    int retry_after_s;

    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_true(bytes_equal(body_of(ISSUER, SHELF_CERTIFICATE), signer.cas[1].certificate));
    assert_int_equal(look_for(ISSUER, SHELF_CRL, &retry_after_s), ERR_UNAVAILABLE);
    assert_true(retry_after_s > 0);
    assert_int_equal(check(&why), OK); /* for a minute */
}

static void
takes_what_is_newer_and_only_that(void **state)
{
    settle();
    assert_string_equal(number_served(ISSUER), "01");
    make_due();
    assert_int_equal(work_off(), 2);
    assert_string_equal(number_served(ISSUER), "01");
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_string_equal(number_served(ISSUER), "02");

    AUTO_STRUCT(request, idle) = request_new();
    assert_int_equal(shelf_refresh(&publisher, idle), OK);
    assert_int_equal(idle->sql_round_trips, 1);
}

static void
finds_each_of_many_cas(void **state)
{
    postgres_kit_run(postgres, "INSERT INTO crl.authority SELECT 'ca-' || n, convert_to('certificate ' || n, 'UTF8'), 'chain ' || n,"
                               " sha256(convert_to('ca' || n, 'UTF8')), now() + interval '1 year' FROM generate_series(1, 500) n");
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    for (int i = 1; i <= 500; i++) {
        const char *name = arena_format(rq->arena, "ca-%d", i);
        assert_true(bytes_equal(body_of(name, SHELF_CERTIFICATE), bytes_of_text(arena_format(rq->arena, "certificate %d", i))));
        assert_true(bytes_equal(body_of(name, SHELF_CHAIN), bytes_of_text(arena_format(rq->arena, "chain %d", i))));
    }
}

static void
lends_a_document_that_is_replaced_meanwhile(void **state)
{
    const struct document *old;

    settle();
    assert_int_equal(shelf_find(publisher.shelf, rq, ISSUER, SHELF_CRL, &old), OK);
    struct bytes copy = bytes_copy(rq->arena, old->body);
    make_due();
    assert_int_equal(work_off(), 2);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_true(bytes_equal(old->body, copy));
    assert_string_equal(number_served(ISSUER), "02");
    shelf_release((void *)old);
}

static void
refuse_stored_crl(const char *change, const char *why)
{
    settle();
    alarm_wakes = 0;
    make_due();
    assert_int_equal(work_off(), 2);
    postgres_kit_run(postgres, change);
    AUTO_STRUCT(request, refreshing) = request_new();
    assert_int_equal(shelf_refresh(&publisher, refreshing), OK);
    assert_string_equal(number_served(ISSUER), "01");
    assert_string_equal(number_served("test-root"), "02"); /* one bad row does not stop the others */
    assert_int_equal(alarm_wakes, 1);
    assert_non_null(strstr(refreshing->notes[refreshing->note_count - 1].value, why));

    /* It is asked for and said once, and the next CRL heals it. */
    AUTO_STRUCT(request, idle) = request_new();
    assert_int_equal(shelf_refresh(&publisher, idle), OK);
    assert_int_equal(idle->note_count, 0);
    assert_int_equal(work_off(), 1);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_string_not_equal(number_served(ISSUER), "01");
}

static void
refuses_a_stored_crl_whose_signature_is_wrong(void **state)
{
    refuse_stored_crl("UPDATE crl.published SET der = set_byte(der, length(der) - 1, get_byte(der, length(der) - 1) # 1), sha256 = sha256(der || 'x')"
                      " WHERE issuer = '" ISSUER "'",
                      "signature");
}

static void
refuses_a_stored_crl_that_is_cut_off(void **state)
{
    refuse_stored_crl("UPDATE crl.published SET der = substring(der FROM 1 FOR 100), sha256 = sha256('cut') WHERE issuer = '" ISSUER "'",
                      "malformed");
}

static void
refuses_a_stored_crl_of_another_ca(void **state)
{
    refuse_stored_crl("UPDATE crl.published p SET der = o.der, sha256 = o.sha256 FROM crl.published o WHERE p.issuer = '" ISSUER
                      "' AND o.issuer = 'test-root'",
                      "another issuer");
}

static char *
hex_of(struct bytes bytes)
{
    return bytes_hex(rq->arena, bytes, 0);
}

static void
does_not_go_back_to_an_older_crl(void **state)
{
    settle();
    struct bytes old = body_of(ISSUER, SHELF_CRL);
    make_due();
    assert_int_equal(work_off(), 2);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    postgres_kit_run(postgres, arena_format(rq->arena,
                                            "UPDATE crl.published SET number = decode(lpad('01', 40, '0'), 'hex'), der = '\\x%s',"
                                            " sha256 = sha256('\\x%s') WHERE issuer = '" ISSUER "'",
                                            hex_of(old), hex_of(old)));
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_string_equal(number_served(ISSUER), "02");
    assert_int_equal(work_off(), 1);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_string_equal(number_served(ISSUER), "03");
}

static void
serves_on_while_the_database_is_away(void **state)
{
    const char *why;

    settle();
    postgres_kit_kill(postgres);
    AUTO_STRUCT(request, refreshing) = request_new();
    refreshing->deadline_ms = clock_monotonic_ms() + 500;
    assert_int_not_equal(shelf_refresh(&publisher, refreshing), OK);
    assert_string_equal(number_served(ISSUER), "01");
    assert_true(bytes_equal(body_of(ISSUER, SHELF_CERTIFICATE), signer.cas[1].certificate));
    assert_int_equal(check(&why), OK);
    postgres_kit_start_again(postgres);
}

static void
begins_again_without_the_signer(void **state)
{
    settle();
    signer.failing = ERR_UNAVAILABLE;
    publisher.shelf = shelves[shelf_count++] = shelf_new();
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_string_equal(number_served(ISSUER), "01");
}

static void
is_ready_while_one_crl_is_current(void **state)
{
    const char *why;

    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_int_equal(check(&why), OK); /* no CRL was made so far: the CA certificates are served */
    signer.this_update_s = clock_now_s() - 800;
    signer.next_update_s = clock_now_s() + 60;
    assert_int_equal(work_off(), 2);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_int_equal(check(&why), OK); /* near their end */

    ahead_s += 100;
    assert_int_equal(check(&why), ERR_UNAVAILABLE);
    assert_non_null(strstr(why, "all CRLs here have ended"));
    assert_string_equal(number_served(ISSUER), "01"); /* and it is served on */

    signer.this_update_s = signer.next_update_s = 0;
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now() WHERE issuer = '" ISSUER "'");
    assert_int_equal(work_off(), 1);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_int_equal(check(&why), OK); /* the other CA's has ended, this one's has not */
}

static void
does_not_wait_for_crls_of_cas_that_have_ended(void **state)
{
    const char *why;

    signer.next_update_s = clock_now_s() + 60;
    settle();
    ahead_s += 100;
    assert_int_equal(check(&why), ERR_UNAVAILABLE);
    postgres_kit_run(postgres, "UPDATE crl.authority SET not_after = now() - interval '1 second', sha256 = sha256(sha256)");
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    assert_int_equal(check(&why), OK);
}

static void
measures_what_is_served(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer page = buffer_in(arena);

    signer.entries = 5;
    settle();
    shelf_measure(publisher.shelf);
    metrics_render(&page);
    assert_non_null(strstr(buffer_text(&page), "signet_crl_entries{issuer=\"" ISSUER "\"} 5\n"));
    assert_non_null(strstr(buffer_text(&page), "signet_crl_seconds_to_next_update{issuer=\"" ISSUER "\"} 604"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(knows_nothing_before_the_database_was_read),
        CASE(has_the_certificate_before_the_first_crl),
        CASE(takes_what_is_newer_and_only_that),
        CASE(finds_each_of_many_cas),
        CASE(lends_a_document_that_is_replaced_meanwhile),
        CASE(refuses_a_stored_crl_whose_signature_is_wrong),
        CASE(refuses_a_stored_crl_that_is_cut_off),
        CASE(refuses_a_stored_crl_of_another_ca),
        CASE(does_not_go_back_to_an_older_crl),
        CASE(serves_on_while_the_database_is_away),
        CASE(begins_again_without_the_signer),
        CASE(is_ready_while_one_crl_is_current),
        CASE(does_not_wait_for_crls_of_cas_that_have_ended),
        CASE(measures_what_is_served),
    };

    return cmocka_run_group_tests_name("shelf", tests, start_postgres, stop_postgres);
}
