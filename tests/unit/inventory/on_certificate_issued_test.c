/* The news of a certificate: once is enough, twice changes nothing. */
#include "inventory_fixture.h"

static void
hearing_twice_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *event = issued(fixture->rq, 1, "a.example,b.example"), *again = issued(fixture->rq, 1, "a.example,b.example");

    HEAR(fixture, on_certificate_issued, event);
    again->owner = "somebody-else";
    HEAR(fixture, on_certificate_issued, again, again);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate WHERE owner = 'team-blue'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate_name"), 2);
}

static void
one_batch_may_hold_the_same_event_twice(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *event = issued(fixture->rq, 1, "a.example,a.example");

    HEAR(fixture, on_certificate_issued, event, issued(fixture->rq, 2, "b.example"), event);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate_name"), 2);
}

static void
takes_certificates_without_names_and_without_principal(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *event = issued(fixture->rq, 1, "");
    Pb__FindCertificatesRequest all = PB__FIND_CERTIFICATES_REQUEST__INIT;

    event->principal = NULL;
    event->owner = "";
    event->serial = (ProtobufCBinaryData){0};
    HEAR(fixture, on_certificate_issued, event);
    Pb__FindCertificatesReply reply = search(fixture, &all);
    assert_int_equal(reply.n_entries, 1);
    assert_int_equal(reply.entries[0]->n_names, 0);
    assert_string_equal(reply.entries[0]->principal->kind, "");
    assert_int_equal(reply.entries[0]->serial.len, 0);
}

/* All of a batch or nothing: it comes again. */
static void
keeps_nothing_of_a_batch_with_a_false_event(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CertificateIssued *good = issued(rq, 1, "a.example"), *bad = issued(rq, 2, "b.example");

    bad->sha256.len = 31;
    const struct event events[] = {{.id = "1", .message = &good->base}, {.id = "2", .message = &bad->base}};
    assert_int_equal(on_certificate_issued(&fixture->inventory, rq, events, 2), ERR_CONFLICT);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.certificate_name"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(hearing_twice_changes_nothing),
        CASE(one_batch_may_hold_the_same_event_twice),
        CASE(takes_certificates_without_names_and_without_principal),
        CASE(keeps_nothing_of_a_batch_with_a_false_event),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
