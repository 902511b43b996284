/* Who makes a CRL, and when: demands that gather, signings that do not overlap, holders that die, and a database that lets nothing older in. */
#include "publisher_fixture.h"

#define NUMBER_OF "SELECT encode(number, 'hex') FROM crl.published WHERE issuer = '" ISSUER "'"
#define SCHEDULE_OF(columns) "SELECT " columns " FROM crl.schedule WHERE issuer = '" ISSUER "'"

static const char *const issuers[] = {ISSUER};

static void
revoke_one(void *context)
{
    AUTO_STRUCT(request, soon) = request_new();

    assert_int_equal(schedule_soon(&publisher, soon, issuers, 1), OK);
}

static void
makes_the_first_crl_of_each_ca(void **state)
{
    settle();
    assert_int_equal(signer.crls_signed, 2);
    assert_string_equal(ask("SELECT count(*) FROM crl.published"), "2");
    assert_int_equal(work_off(), 0);
    assert_string_equal(ask(SCHEDULE_OF("met = wanted AND attempts = 0 AND leased_until IS NULL AND lease_holder IS NULL")), "t");
}

static void
makes_the_next_after_the_interval(void **state)
{
    settle();
    assert_string_equal(ask(SCHEDULE_OF("due_at > now() + interval '23 hours' AND due_at < now() + interval '25 hours'")), "t");
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = due_at - interval '1 day' WHERE issuer = '" ISSUER "'");
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000002");
}

static void
makes_one_crl_of_a_burst(void **state)
{
    settle();
    for (int i = 0; i < 20; i++)
        revoke_one(NULL);
    assert_int_equal(work_off(), 1);
    assert_int_equal(work_off(), 0);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000002");
    assert_string_equal(ask(SCHEDULE_OF("met = wanted")), "t");
}

static void
waits_for_others_as_long_as_the_delay(void **state)
{
    settle();
    publisher.config.delay_ms = 60000;
    revoke_one(NULL);
    assert_int_equal(alarm_wakes, 1);
    assert_int_equal(work_off(), 0);
    char *due = ask(SCHEDULE_OF("due_at"));
    revoke_one(NULL);
    assert_string_equal(ask(SCHEDULE_OF("due_at")), due); /* what comes later does not put off the first */
}

static void
leaves_a_due_crl_as_early_as_it_is(void **state)
{
    settle();
    publisher.config.delay_ms = 60000;
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now()");
    revoke_one(NULL);
    assert_int_equal(work_off(), 2);
}

static void
signs_once_more_for_what_came_during_a_signing(void **state)
{
    settle();
    revoke_one(NULL);
    alarm_wakes = 0;
    signer.during = revoke_one;
    assert_int_equal(work_off(), 1);
    assert_int_equal(signer.crls_signed, 3);
    assert_string_equal(ask(SCHEDULE_OF("wanted - met")), "1");
    assert_int_equal(alarm_wakes, 2); /* of the demand, and at the end of the signing */
    assert_int_equal(work_off(), 1);
    assert_int_equal(work_off(), 0);
    assert_int_equal(signer.crls_signed, 4);
    assert_string_equal(ask(SCHEDULE_OF("met = wanted")), "t");
}

static void
is_free_to_nobody_else(void *context)
{
    struct db_rows *rows;

    revoke_one(NULL);
    assert_int_equal(take_due("replica/2", &rows), 0);
}

static void
signs_one_crl_of_a_ca_at_a_time(void **state)
{
    settle();
    revoke_one(NULL);
    signer.during = is_free_to_nobody_else;
    assert_int_equal(work_off(), 1);
    assert_int_equal(signer.crls_signed, 3);
}

static void
takes_over_from_a_holder_that_died(void **state)
{
    struct db_rows *rows;

    settle();
    revoke_one(NULL);
    assert_int_equal(take_due("dead/1", &rows), 1);
    assert_int_equal(work_off(), 0);
    postgres_kit_run(postgres, "UPDATE crl.schedule SET leased_until = now() - interval '1 second' WHERE lease_holder = 'dead/1'");
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000002");
    assert_string_equal(ask(SCHEDULE_OF("met = wanted")), "t");
}

static void
does_not_let_a_late_holder_end_the_lease_of_the_next(void **state)
{
    struct db_rows *late, *rows;

    settle();
    revoke_one(NULL);
    assert_int_equal(take_due("late/1", &late), 1);
    postgres_kit_run(postgres, "UPDATE crl.schedule SET leased_until = now() - interval '1 second' WHERE lease_holder = 'late/1'");
    assert_int_equal(take_due("next/1", &rows), 1);
    AUTO_STRUCT(request, first) = request_new();
    schedule_work(&publisher, first, late, 0);
    assert_int_equal(first->failure.kind, OK); /* its CRL is newer than what was there: it is taken */
    assert_string_equal(ask(SCHEDULE_OF("lease_holder")), "next/1");
    assert_string_equal(ask(SCHEDULE_OF("met < wanted")), "t");

    /* The next one began from what was there before: its number is no longer greater, and it is tried again. */
    AUTO_STRUCT(request, second) = request_new();
    schedule_work(&publisher, second, rows, 0);
    assert_int_equal(second->failure.kind, ERR_CONFLICT);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000002");
    assert_string_equal(ask(SCHEDULE_OF("leased_until IS NULL AND due_at > now() AND met < wanted")), "t");
}

static void
keeps_the_last_and_tries_again_later_when_it_fails(void **state)
{
    settle();
    revoke_one(NULL);
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000001");
    assert_string_equal(ask(SCHEDULE_OF("failure")), "the signer is away");
    assert_string_equal(ask(SCHEDULE_OF("attempts = 1 AND leased_until IS NULL AND due_at > now() AND due_at <= now() + interval '1 second'")), "t");

    signer.failing = OK;
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now() WHERE attempts > 0");
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(SCHEDULE_OF("attempts = 0 AND failure IS NULL AND met = wanted")), "t");
}

static void
tries_more_seldom_the_longer_it_fails(void **state)
{
    settle();
    signer.failing = ERR_TIMEOUT;
    for (int i = 0; i < 8; i++) {
        postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now() WHERE issuer = '" ISSUER "'");
        assert_int_equal(work_off(), 1);
    }
    assert_string_equal(ask(SCHEDULE_OF("attempts = 8 AND due_at > now() + interval '10 seconds' AND due_at <= now() + interval '15 seconds'")), "t");
    char *due = ask(SCHEDULE_OF("due_at"));
    revoke_one(NULL);
    assert_string_equal(ask(SCHEDULE_OF("due_at")), due); /* a revocation does not hurry what cannot be done */
}

/* What the signer is given for the next CRL; of the rest it is stored. */
static int64_t
time_given_ms(void)
{
    int64_t begun_ms = clock_monotonic_ms();

    revoke_one(NULL);
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now() WHERE issuer = '" ISSUER "'");
    assert_int_equal(work_off(), 1);
    assert_true(signer.deadline_ms <= clock_monotonic_ms() + 225000); /* of five minutes, whatever happens */
    return signer.deadline_ms - begun_ms;
}

/* No more than that: what a signer that dies has begun is waited for as long. */
static void
gives_what_the_last_one_took_and_some(void **state)
{
    settle();
    assert_true(time_given_ms() < 16000);
    postgres_kit_run(postgres, "UPDATE crl.published SET entries = 1000000, published_at = this_update + interval '8 seconds'");
    int64_t given_ms = time_given_ms();
    assert_true(given_ms >= 24000 && given_ms < 60000);
    postgres_kit_run(postgres, "UPDATE crl.published SET published_at = this_update + interval '40 seconds'");
    assert_true(time_given_ms() >= 90000);
    postgres_kit_run(postgres, "UPDATE crl.published SET this_update = this_update - interval '1 day'");
    assert_true(time_given_ms() < 16000);
}

static void
gives_more_time_after_each_failure(void **state)
{
    settle();
    postgres_kit_run(postgres, "UPDATE crl.schedule SET attempts = 2");
    assert_true(time_given_ms() >= 60000);
    postgres_kit_run(postgres, "UPDATE crl.schedule SET attempts = 1000");
    assert_true(time_given_ms() >= 225000);
}

static void
renews_the_lease_of_what_takes_long_and_no_others(void **state)
{
    struct db_rows *rows;
    const char *issuer = ISSUER;

    settle();
    revoke_one(NULL);
    assert_int_equal(take_due("slow/1", &rows), 1);
    assert_int_equal(DB_QUERY(publisher.db, rq, &store_renew_due, NULL, DB_TEXT_ARRAY(&issuer, 1), DB_INT(7200), DB_TEXT("other/1")), OK);
    assert_string_equal(ask(SCHEDULE_OF("leased_until < now() + interval '1 hour'")), "t");
    assert_int_equal(DB_QUERY(publisher.db, rq, &store_renew_due, NULL, DB_TEXT_ARRAY(&issuer, 1), DB_INT(7200), DB_TEXT("slow/1")), OK);
    assert_string_equal(ask(SCHEDULE_OF("leased_until > now() + interval '1 hour'")), "t");
}

static void
keeps_the_last_when_the_new_one_is_refused(void **state)
{
    settle();
    revoke_one(NULL);
    signer.key = signer.cas[0].key;
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000001");
    assert_non_null(strstr(ask(SCHEDULE_OF("failure")), "signature"));
}

static struct new_crl
crl_with(const char *number, int64_t this_update_s, int64_t next_update_s)
{
    struct new_crl new;
    struct bytes magnitude;

    assert_true(bytes_from_hex(rq->arena, number, &magnitude));
    assert_int_equal(crl_parse(rq, make_crl(rq->arena, &signer.cas[1], this_update_s, next_update_s, magnitude), &new.crl), OK);
    assert_true(crl_number_of(new.crl.number, &new.number));
    return new;
}

static enum error store(struct new_crl new)
{
    AUTO_STRUCT(request, storing) = request_new();
    bool again;

    return store_replace(&publisher, storing, &(struct due_crl){.issuer = ISSUER, .holder = "replica/1", .wanted = 1}, &new, &again);
}

/* What two replicas do that both believe to hold the lease. */
static void
lets_nothing_into_the_database_that_is_not_newer(void **state)
{
    int64_t now_s = clock_now_s();

    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(store(crl_with("00ff", now_s, now_s + 100)), OK);
    assert_int_equal(store(crl_with("00ff", now_s, now_s + 100)), ERR_CONFLICT);
    assert_int_equal(store(crl_with("00fe", now_s, now_s + 100)), ERR_CONFLICT);
    assert_int_equal(store(crl_with("0100", now_s - 1, now_s + 100)), ERR_CONFLICT);
    assert_int_equal(store(crl_with("0100", now_s - 100, now_s - 50)), ERR_CONFLICT);
    assert_string_equal(ask(NUMBER_OF), "00000000000000000000000000000000000000ff");
    assert_int_equal(store(crl_with("0100", now_s, now_s + 100)), OK);
    assert_string_equal(ask(NUMBER_OF), "0000000000000000000000000000000000000100");
}

static void
goes_on_from_the_number_in_memory_when_the_database_is_older(void **state)
{
    settle();
    signer.number = BYTES("\x09", 1);
    revoke_one(NULL);
    assert_int_equal(work_off(), 1);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    postgres_kit_run(postgres, "UPDATE crl.published SET number = decode(lpad('02', 40, '0'), 'hex')");
    signer.number = BYTES_NONE;
    revoke_one(NULL);
    assert_int_equal(work_off(), 1);
    assert_string_equal(ask(NUMBER_OF), "000000000000000000000000000000000000000a");
}

static void
leaves_an_expired_ca_in_peace(void **state)
{
    settle();
    revoke_one(NULL);
    postgres_kit_run(postgres, "UPDATE crl.authority SET not_after = now() - interval '1 second'");
    assert_int_equal(work_off(), 0);
}

static void
ignores_revocations_of_a_ca_that_is_not_known_yet(void **state)
{
    revoke_one(NULL);
    assert_int_equal(work_off(), 0);
    settle(); /* its first CRL tells them */
}

static void
wakes_the_crls_of_all_cas_that_events_name(void **state)
{
    Pb__CertificateRevoked revoked[3] = {PB__CERTIFICATE_REVOKED__INIT, PB__CERTIFICATE_REVOKED__INIT, PB__CERTIFICATE_REVOKED__INIT};
    struct event events[COUNT_OF(revoked)];

    settle();
    for (size_t i = 0; i < COUNT_OF(revoked); i++) {
        revoked[i].issuer = i == 1 ? "test-root" : ISSUER;
        events[i] = (struct event){.id = "x", .message = &revoked[i].base};
    }
    assert_int_equal(on_certificate_revoked(&publisher, rq, events, COUNT_OF(events)), OK);
    assert_int_equal(work_off(), 2);
    assert_int_equal(work_off(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(makes_the_first_crl_of_each_ca),
        CASE(makes_the_next_after_the_interval),
        CASE(makes_one_crl_of_a_burst),
        CASE(waits_for_others_as_long_as_the_delay),
        CASE(leaves_a_due_crl_as_early_as_it_is),
        CASE(signs_once_more_for_what_came_during_a_signing),
        CASE(signs_one_crl_of_a_ca_at_a_time),
        CASE(takes_over_from_a_holder_that_died),
        CASE(does_not_let_a_late_holder_end_the_lease_of_the_next),
        CASE(keeps_the_last_and_tries_again_later_when_it_fails),
        CASE(tries_more_seldom_the_longer_it_fails),
        CASE(gives_what_the_last_one_took_and_some),
        CASE(gives_more_time_after_each_failure),
        CASE(renews_the_lease_of_what_takes_long_and_no_others),
        CASE(keeps_the_last_when_the_new_one_is_refused),
        CASE(lets_nothing_into_the_database_that_is_not_newer),
        CASE(goes_on_from_the_number_in_memory_when_the_database_is_older),
        CASE(leaves_an_expired_ca_in_peace),
        CASE(ignores_revocations_of_a_ca_that_is_not_known_yet),
        CASE(wakes_the_crls_of_all_cas_that_events_name),
    };

    return cmocka_run_group_tests_name("schedule", tests, start_postgres, stop_postgres);
}
