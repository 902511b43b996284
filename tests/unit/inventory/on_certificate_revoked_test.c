/* The news of a revocation, before or after the news of the certificate. */
#include "inventory_fixture.h"

static Pb__CatalogEntry *
entry_of(struct fixture *fixture, uint8_t number)
{
    Pb__ShowCertificateRequest request = PB__SHOW_CERTIFICATE_REQUEST__INIT;
    Pb__ShowCertificateReply reply = PB__SHOW_CERTIFICATE_REPLY__INIT;

    request.sha256 = message_data(octets(fixture->rq->arena, 32, number));
    assert_ok(fixture->rq, show_certificate(&fixture->inventory, fixture->rq, &request, &reply));
    return reply.entry;
}

static void
may_come_before_the_certificate(void **state)
{
    struct fixture *fixture = *state;

    HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, 1, 1700000100, PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE));
    HEAR(fixture, on_certificate_issued, issued(fixture->rq, 1, "a.example"));
    Pb__CatalogEntry *entry = entry_of(fixture, 1);
    assert_string_equal(entry->status, "revoked");
    assert_int_equal(entry->revoked_at_s, 1700000100);
    assert_int_equal(entry->reason, PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE);
}

static void
the_first_revocation_stays(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateRevoked *first = revoked(fixture->rq, 1, 1700000100, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED),
                           *second = revoked(fixture->rq, 1, 1700000500, PB__REVOCATION_REASON__REVOCATION_REASON_UNSPECIFIED);

    HEAR(fixture, on_certificate_issued, issued(fixture->rq, 1, "a.example"));
    HEAR(fixture, on_certificate_revoked, second, first);
    assert_int_equal(entry_of(fixture, 1)->revoked_at_s, 1700000100);
    HEAR(fixture, on_certificate_revoked, first, second);
    assert_int_equal(entry_of(fixture, 1)->revoked_at_s, 1700000100);
    assert_int_equal(ask_number("SELECT count(*) FROM inventory.revocation"), 1);
}

/* Whatever comes first: keyCompromise stays, and a hold does not. */
static void
the_reason_that_counts_does_not_depend_on_the_order(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        int one, other, counts;
    } cases[] = {{4, 1, 1}, {6, 1, 1}, {6, 0, 0}, {6, 9, 9}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t separately = (uint8_t)(2 * i + 1), together = (uint8_t)(2 * i + 2);
        for (int turned = 0; turned < 2; turned++) {
            HEAR(fixture, on_certificate_issued, issued(fixture->rq, separately, "a.example"), issued(fixture->rq, together, "b.example"));
            int first = turned ? cases[i].other : cases[i].one, second = turned ? cases[i].one : cases[i].other;
            HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, separately, 1700000100, (Pb__RevocationReason)first));
            HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, separately, 1700000100, (Pb__RevocationReason)second));
            HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, together, 1700000100, (Pb__RevocationReason)first),
                 revoked(fixture->rq, together, 1700000100, (Pb__RevocationReason)second));
            assert_int_equal(entry_of(fixture, separately)->reason, cases[i].counts);
            assert_int_equal(entry_of(fixture, together)->reason, cases[i].counts);
            postgres_kit_run(postgres, "DELETE FROM inventory.revocation");
        }
    }
}

static void
touches_no_other_issuer_with_the_same_serial(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *one = issued(fixture->rq, 1, "a.example"), *other = issued(fixture->rq, 2, "b.example");

    other->serial = one->serial;
    other->issuer = "other-issuing";
    HEAR(fixture, on_certificate_issued, one, other);
    HEAR(fixture, on_certificate_revoked, revoked(fixture->rq, 1, 1700000100, PB__REVOCATION_REASON__REVOCATION_REASON_SUPERSEDED));
    assert_string_equal(entry_of(fixture, 1)->status, "revoked");
    assert_string_equal(entry_of(fixture, 2)->status, "valid");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(may_come_before_the_certificate),
        CASE(the_first_revocation_stays),
        CASE(the_reason_that_counts_does_not_depend_on_the_order),
        CASE(touches_no_other_issuer_with_the_same_serial),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
