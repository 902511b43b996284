/* One certificate whole, by fingerprint or serial number. */
#include "inventory_fixture.h"

static enum error
show(struct fixture *fixture, struct request *rq, struct bytes serial, struct bytes sha256, Pb__ShowCertificateReply *ret_reply)
{
    Pb__ShowCertificateRequest request = PB__SHOW_CERTIFICATE_REQUEST__INIT;

    pb__show_certificate_reply__init(ret_reply);
    request.serial = message_data(serial);
    request.sha256 = message_data(sha256);
    return show_certificate(&fixture->inventory, rq, &request, ret_reply);
}

static void
shows_everything_that_was_announced(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *event = issued(fixture->rq, 7, "a.example,b.example");
    Pb__ShowCertificateReply by_serial, by_sha256;

    event->names[1]->type = PB__NAME_TYPE__NAME_TYPE_URI;
    event->names[1]->value = "urn:one,two three";
    HEAR(fixture, on_certificate_issued, event);
    assert_ok(fixture->rq, show(fixture, fixture->rq, octets(fixture->rq->arena, 17, 7), BYTES_NONE, &by_serial));
    assert_ok(fixture->rq, show(fixture, fixture->rq, BYTES_NONE, octets(fixture->rq->arena, 32, 7), &by_sha256));
    const Pb__CatalogEntry *entry = by_serial.entry;
    assert_memory_equal(entry->sha256.data, by_sha256.entry->sha256.data, 32);
    assert_int_equal(by_serial.certificate.len, 2);
    assert_memory_equal(by_serial.certificate.data, "\x30\x00", 2);
    assert_string_equal(entry->issuer, ISSUER);
    assert_string_equal(entry->subject, "CN=subject");
    assert_int_equal(entry->n_names, 2);
    assert_int_equal(entry->names[0]->type, PB__NAME_TYPE__NAME_TYPE_DNS);
    assert_string_equal(entry->names[0]->value, "a.example");
    assert_int_equal(entry->names[1]->type, PB__NAME_TYPE__NAME_TYPE_URI);
    assert_string_equal(entry->names[1]->value, "urn:one,two three");
    assert_int_equal(entry->not_before_s, event->not_before_s);
    assert_int_equal(entry->not_after_s, event->not_after_s);
    assert_string_equal(entry->template_, "Web Server");
    assert_string_equal(entry->protocol, "acme");
    assert_string_equal(entry->owner, "team-blue");
    assert_string_equal(entry->principal->kind, "acme-account");
    assert_string_equal(entry->principal->id, "alice");
    assert_string_equal(entry->key_type, "p256");
    assert_int_equal(entry->issued_at_s, event->issued_at_s);
    assert_string_equal(entry->status, "valid");
    assert_int_equal(entry->revoked_at_s, 0);
}

static void
says_what_is_missing(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        size_t serial, sha256;
        enum error error;
        const char *says;
    } cases[] = {
        {0, 0, ERR_BAD_REQUEST, "serial number"}, {21, 0, ERR_BAD_REQUEST, "1 to 20"},   {0, 31, ERR_BAD_REQUEST, "32 octets"},
        {17, 0, ERR_NOT_FOUND, "serial number"},  {0, 32, ERR_NOT_FOUND, "fingerprint"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ShowCertificateReply reply;
        assert_int_equal(show(fixture, rq, octets(rq->arena, cases[i].serial, 1), octets(rq->arena, cases[i].sha256, 1), &reply), cases[i].error);
        assert_non_null(strstr(rq->failure.message, cases[i].says));
    }
}

/* Foreign CAs count from one. */
static void
asks_for_the_fingerprint_when_two_issuers_used_one_serial(void **state)
{
    struct fixture *fixture = *state;
    Pb__CertificateIssued *one = issued(fixture->rq, 1, "a.example"), *other = issued(fixture->rq, 2, "b.example");
    Pb__ShowCertificateReply reply;
    AUTO_STRUCT(request, rq) = request_new();

    other->serial = one->serial;
    other->issuer = "other-issuing";
    HEAR(fixture, on_certificate_issued, one, other);
    assert_int_equal(show(fixture, rq, octets(rq->arena, 17, 1), BYTES_NONE, &reply), ERR_CONFLICT);
    assert_non_null(strstr(rq->failure.message, "SHA-256"));
    assert_ok(fixture->rq, show(fixture, fixture->rq, BYTES_NONE, octets(rq->arena, 32, 2), &reply));
    assert_string_equal(reply.entry->issuer, "other-issuing");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(shows_everything_that_was_announced),
        CASE(says_what_is_missing),
        CASE(asks_for_the_fingerprint_when_two_issuers_used_one_serial),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
