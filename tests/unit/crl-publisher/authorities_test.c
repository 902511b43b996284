/* The signer's list of CAs becomes rows: added, changed, never taken away. */
#include "publisher_fixture.h"

#include "unit/link/wait_for.h"

static void
takes_the_list_with_chains_and_makes_each_ca_due(void **state)
{
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_string_equal(ask("SELECT string_agg(issuer, ' ' ORDER BY issuer) FROM crl.authority"), ISSUER " test-root");
    assert_string_equal(ask("SELECT count(*) FROM crl.schedule WHERE due_at <= now() AND wanted > met"), "2");
    assert_int_equal(lease_wakes, 1);

    const char *pem = ask("SELECT chain_pem FROM crl.authority WHERE issuer = '" ISSUER "'");
    struct bytes *ders;
    size_t count;
    assert_int_equal(pem_all(rq, pem, "CERTIFICATE", 9, &ders, &count), OK);
    assert_int_equal(count, 2);
    assert_true(bytes_equal(ders[0], signer.cas[1].certificate) && bytes_equal(ders[1], signer.cas[0].certificate));
}

static void
writes_nothing_while_the_list_is_the_same(void **state)
{
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    postgres_kit_run(postgres, "DELETE FROM crl.schedule");
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(signer.lists, 2);
    assert_string_equal(ask("SELECT count(*) FROM crl.schedule"), "0");
}

static void
wants_a_new_crl_when_a_certificate_changed(void **state)
{
    settle();
    postgres_kit_run(postgres, "UPDATE crl.authority SET changed_at = now() - interval '1 hour'");
    signer.cas[1].certificate =
        kit_certificate(signer.arena, &(struct kit_certificate){.key = signer.cas[1].key, .subject = "/O=Test/CN=Issuing", .is_ca = true});
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_string_equal(ask("SELECT issuer FROM crl.schedule WHERE wanted > met"), ISSUER);
    assert_string_equal(ask("SELECT issuer FROM crl.authority WHERE changed_at > now() - interval '1 minute'"), ISSUER);
    assert_int_equal(work_off(), 1);
}

static void
keeps_a_ca_that_the_signer_has_forgotten(void **state)
{
    settle();
    EVP_PKEY_free(signer.cas[1].key);
    signer.ca_count = 1;
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_string_equal(ask("SELECT count(*) FROM crl.authority"), "2");
}

static void
keeps_what_it_has_while_the_signer_is_away(void **state)
{
    settle();
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(authorities_refresh(&publisher, rq), ERR_UNAVAILABLE);
    assert_string_equal(ask("SELECT count(*) FROM crl.authority"), "2");
}

static bool
is_refreshed(void)
{
    AUTO_STRUCT(request, refreshing) = request_new();

    return authorities_refresh(&publisher, refreshing) == OK;
}

static void
tries_again_when_the_database_was_away(void **state)
{
    postgres_kit_kill(postgres);
    rq->deadline_ms = clock_monotonic_ms() + 500;
    assert_int_not_equal(authorities_refresh(&publisher, rq), OK);
    postgres_kit_start_again(postgres);
    WAIT_FOR(is_refreshed());
    assert_string_equal(ask("SELECT count(*) FROM crl.authority"), "2");
}

static void
hears_of_a_new_ca(void **state)
{
    Pb__CaCreated created = PB__CA_CREATED__INIT;
    struct event event = {.id = "x", .message = &created.base};

    settle();
    add_ca("test-new", "/O=Test/CN=New");
    assert_int_equal(on_ca_created(&publisher, rq, &event, 1), OK);
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask("SELECT count(*) FROM crl.published"), "3");
}

static void
wants_the_event_again_while_the_signer_is_away(void **state)
{
    Pb__CaCreated created = PB__CA_CREATED__INIT;
    struct event event = {.id = "x", .message = &created.base};

    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(on_ca_created(&publisher, rq, &event, 1), ERR_UNAVAILABLE);
}

static void
leaves_out_a_ca_whose_certificate_is_broken(void **state)
{
    signer.cas[1].certificate.len--;
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_string_equal(ask("SELECT string_agg(issuer, ' ') FROM crl.authority"), "test-root");
    assert_int_equal(rq->note_count, 1);
    assert_true(text_starts_with(rq->notes[0].value, ISSUER ": "));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(takes_the_list_with_chains_and_makes_each_ca_due),
        CASE(writes_nothing_while_the_list_is_the_same),
        CASE(wants_a_new_crl_when_a_certificate_changed),
        CASE(keeps_a_ca_that_the_signer_has_forgotten),
        CASE(keeps_what_it_has_while_the_signer_is_away),
        CASE(tries_again_when_the_database_was_away),
        CASE(hears_of_a_new_ca),
        CASE(wants_the_event_again_while_the_signer_is_away),
        CASE(leaves_out_a_ca_whose_certificate_is_broken),
    };

    return cmocka_run_group_tests_name("authorities", tests, start_postgres, stop_postgres);
}
