/* From the request to the stored certificate, over repeats, refusals and the bad days of the signer. */
#include "ra_fixture.h"

#include "pki/oid.h"

static void
issues_stores_audits_and_announces(void **state)
{
    struct fixture *fixture = *state;
    struct request *rq = fixture->rq;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct certificate certificate;

    issue(fixture, "warm-up", "warm.example");
    unsigned before = rq->sql_round_trips;
    assert_int_equal(enroll(&fixture->ra, rq, good_request(rq, fixture->key, "order-1", "a.example"), &reply), OK);
    assert_int_equal(rq->sql_round_trips - before, 2);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
    assert_string_equal(reply.issuer, ISSUER);
    assert_int_equal(reply.n_chain, 1); /* without the root */
    assert_true(bytes_equal(message_bytes(reply.chain[0]), signer.certificate));
    assert_int_equal(certificate_parse(rq, message_bytes(reply.certificate), &certificate), OK);
    assert_true(bytes_equal(certificate.serial, message_bytes(reply.serial)));
    assert_int_equal(certificate.not_after_s, reply.not_after_s);
    assert_int_equal(certificate.not_after_s - certificate.not_before_s, 90 * DAY_S - 1);
    assert_string_equal(name_format(rq->arena, certificate.subject), "CN=a.example");

    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'issued' AND closed_at IS NOT NULL"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate_status WHERE issuer = '" ISSUER "' AND revoked_at IS NULL"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued' AND principal = 'acme-account:alice'"), 2);
    assert_int_equal(count_announced(fixture), 2);
    assert_int_equal(outbox_soon_wakes, 2);
    const char *where = arena_format(rq->arena, "SELECT count(*) FROM ra.issued_certificate WHERE expiry_month = %d AND serial = '\\x%s'",
                                     serial_month_of(reply.not_after_s), bytes_hex(rq->arena, certificate.serial, 0));
    assert_int_equal(ask_number(where), 1);
}

static void
event_tells_everything(void **state)
{
    struct fixture *fixture = *state;
    struct bytes der = issue(fixture, "order-1", "a.example");
    struct db_options options = {.name = "test", .url = postgres_kit_url(postgres), .password_file = "", .connections = 1};
    static const struct db_statement read_outbox = {"read_outbox", "SELECT event_id, body FROM ra.outbox"};
    struct db_rows *rows;
    struct db *db;

    assert_int_equal(db_open(fixture->rq, &options, &db), OK);
    assert_int_equal(DB_QUERY0(db, fixture->rq, &read_outbox, &rows), OK);
    assert_int_equal(db_count(rows), 1);
    assert_true(text_starts_with(db_text(rows, 0, 0), EVENTS_BUNDLE_PREFIX));
    const Pb__EventBundle *bundle = (const Pb__EventBundle *)message_unpack(fixture->rq->arena, &pb__event_bundle__descriptor, db_bytes(rows, 0, 1));
    assert_non_null(bundle);
    assert_int_equal(bundle->n_events, 1);
    assert_true(text_starts_with(bundle->events[0]->id, "issued-01"));
    const Pb__CertificateIssued *event = (const Pb__CertificateIssued *)message_unpack(fixture->rq->arena, &pb__certificate_issued__descriptor,
                                                                                       message_bytes(bundle->events[0]->body));
    assert_non_null(event);
    assert_true(bytes_equal(message_bytes(event->certificate), der));
    assert_string_equal(event->subject, "CN=a.example");
    assert_string_equal(event->names[0]->value, "a.example");
    assert_string_equal(event->key_type, "p256");
    assert_string_equal(event->owner, "alice");
    assert_string_equal(event->principal->id, "alice");
    assert_string_equal(event->template_, "Web Server");
    db_close(db);
}

static void
repeat_gets_the_same_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct bytes first = issue(fixture, "order-1", "a.example");
    /* The same CSR octets: a repeat is a repeat of the request. */
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-2", "b.example");
    Pb__EnrollReply once = PB__ENROLL_REPLY__INIT, again = PB__ENROLL_REPLY__INIT;

    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &once), OK);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &again), OK);
    assert_true(bytes_equal(message_bytes(once.certificate), message_bytes(again.certificate)));
    assert_int_equal(again.n_chain, 1);
    assert_false(once.repeated);
    assert_true(again.repeated);
    assert_false(bytes_equal(message_bytes(once.certificate), first));
    assert_int_equal(signer.signed_certificates, 2);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 2);
}

static void
repeat_is_answered_though_policy_would_refuse_now(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply once = PB__ENROLL_REPLY__INIT, again = PB__ENROLL_REPLY__INIT;

    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &once), OK);
    postgres_kit_run(postgres, "DELETE FROM ra.role_name");
    struct ra other = {0};
    open_ra(&other, fixture->rq);
    assert_int_equal(enroll(&other, fixture->rq, request, &again), OK);
    assert_true(bytes_equal(message_bytes(once.certificate), message_bytes(again.certificate)));
    assert_true(again.repeated);
    close_ra(&other);
}

static void
repeat_hears_of_a_certificate_that_is_kept_no_more(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    postgres_kit_run(postgres, "TRUNCATE ra.certificate");
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_NOT_FOUND);
    assert_string_equal(fixture->rq->failure.reason, "archived");
}

static void
same_key_with_another_request_conflicts(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    struct bytes csr = message_bytes(request->csr);

    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "b.example"), &reply), ERR_CONFLICT);
    failure_clear(fixture->rq);
    request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    request->csr = message_data(csr);
    request->principal->id = "mallory";
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_CONFLICT);
    failure_clear(fixture->rq);
    fixture->rq->caller = "est-gw";
    request->channel = "est/phones";
    request->principal->kind = "est-user";
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.refused' AND result = 'conflict'"), 2);
}

/* ---- refusals ----------------------------------------------------------------------------------------------------------------------------- */

struct refusal_case {
    const char *name;
    void (*spoil)(struct fixture *fixture, Pb__EnrollRequest *request);
    enum error expected;
    const char *layer;
    bool audited;
};

static void
set_csr(struct fixture *fixture, Pb__EnrollRequest *request, const struct kit_csr *wish)
{
    request->csr = message_data(kit_csr(fixture->rq->arena, wish));
}

static void
prove(struct fixture *fixture, Pb__EnrollRequest *request, const char *first, const char *second)
{
    Pb__Name *names = arena_array(fixture->rq->arena, 2, sizeof *names);

    request->proven_names = arena_array(fixture->rq->arena, 2, sizeof(Pb__Name *));
    request->n_proven_names = second == NULL ? 1 : 2;
    request->names_are_proven = true;
    for (size_t i = 0; i < 2; i++) {
        pb__name__init(&names[i]);
        names[i].type = PB__NAME_TYPE__NAME_TYPE_DNS;
        names[i].value = i == 0 ? first : second;
        request->proven_names[i] = &names[i];
    }
}

static void
missing_principal(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->principal = NULL;
}

static void
long_key(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->idempotency_key = arena_format(fixture->rq->arena, "%0241d", 1);
}

static void
empty_channel(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->channel = "";
}

static void
large_csr(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->csr = message_data(BYTES(arena_alloc(fixture->rq->arena, CSR_MAX + 1), CSR_MAX + 1));
}

static void
unknown_name_type(struct fixture *fixture, Pb__EnrollRequest *request)
{
    prove(fixture, request, "a.example", NULL);
    request->proven_names[0]->type = (Pb__NameType)77;
}

static void
proven_without_names(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->names_are_proven = true;
}

static void
preapproved_without_proof(struct fixture *fixture, Pb__EnrollRequest *request)
{
    static const char *preapproved[] = {"other.example"};

    prove(fixture, request, "a.example", NULL);
    request->preapproved = preapproved;
    request->n_preapproved = 1;
}

static void
sponsor_without_id(struct fixture *fixture, Pb__EnrollRequest *request)
{
    Pb__Principal *sponsor = arena_alloc(fixture->rq->arena, sizeof *sponsor);

    pb__principal__init(sponsor);
    sponsor->kind = "eab";
    request->on_behalf_of = sponsor;
}

static void
garbage_csr(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->csr = message_data(BYTES("garbage", 7));
}

static void
broken_signature(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->csr.data[request->csr.len - 1] ^= 1;
}

static void
weak_key(struct fixture *fixture, Pb__EnrollRequest *request)
{
    AUTO(EVP_PKEY, key) = kit_key("rsa-1024");
    set_csr(fixture, request, &(struct kit_csr){.key = key, .subject = "/", .names = "DNS:a.example"});
}

static void
sha1_signed(struct fixture *fixture, Pb__EnrollRequest *request)
{
    AUTO(EVP_PKEY, key) = kit_key("rsa-2048");
    set_csr(fixture, request, &(struct kit_csr){.key = key, .subject = "/", .names = "DNS:a.example", .digest = EVP_sha1()});
}

static void
sha1_signed_of_another_protocol(struct fixture *fixture, Pb__EnrollRequest *request)
{
    sha1_signed(fixture, request);
    request->sha1_proof = true;
}

static void
asks_ca(struct fixture *fixture, Pb__EnrollRequest *request)
{
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/", .names = "DNS:a.example", .asks_ca = true});
}

static void
asks_must_staple(struct fixture *fixture, Pb__EnrollRequest *request)
{
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/", .names = "DNS:a.example", .must_staple = true});
}

static void
extra_name(struct fixture *fixture, Pb__EnrollRequest *request)
{
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/", .names = "DNS:a.example,DNS:evil.example"});
    prove(fixture, request, "a.example", NULL);
}

static void
extra_common_name(struct fixture *fixture, Pb__EnrollRequest *request)
{
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/CN=evil.example", .names = "DNS:a.example"});
    prove(fixture, request, "a.example", NULL);
}

static void
missing_name(struct fixture *fixture, Pb__EnrollRequest *request)
{
    prove(fixture, request, "a.example", "b.example");
}

static void
unknown_template(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->template_ = "No-Such-Template";
}

static void
unknown_issuer(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->issuer = "no-such-ca";
}

static void
key_type_of_no_template(struct fixture *fixture, Pb__EnrollRequest *request)
{
    AUTO(EVP_PKEY, key) = kit_key("p384");
    set_csr(fixture, request, &(struct kit_csr){.key = key, .subject = "/", .names = "DNS:a.example"});
}

static void
too_long_validity(struct fixture *fixture, Pb__EnrollRequest *request)
{
    request->not_after_s = clock_now_s() + 91 * DAY_S;
}

static void
no_name(struct fixture *fixture, Pb__EnrollRequest *request)
{
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/O=Example"});
}

static const struct refusal_case refusals[] = {
    {"refuses_request_without_principal", missing_principal, ERR_BAD_REQUEST, "", false},
    {"refuses_idempotency_key_of_241_octets", long_key, ERR_TOO_LARGE, "", false},
    {"refuses_empty_channel", empty_channel, ERR_BAD_REQUEST, "", false},
    {"refuses_csr_beyond_the_limit", large_csr, ERR_TOO_LARGE, "", false},
    {"refuses_unknown_type_of_proven_name", unknown_name_type, ERR_BAD_REQUEST, "", false},
    {"refuses_proven_names_that_are_none", proven_without_names, ERR_BAD_REQUEST, "", false},
    {"refuses_a_preapproved_name_that_is_not_proven", preapproved_without_proof, ERR_BAD_REQUEST, "", false},
    {"refuses_whom_the_principal_acts_for_without_an_id", sponsor_without_id, ERR_BAD_REQUEST, "", false},
    {"refuses_garbage_as_csr", garbage_csr, ERR_BAD_CSR, "", true},
    {"refuses_csr_with_broken_signature", broken_signature, ERR_BAD_CSR, "", true},
    {"refuses_csr_with_weak_key", weak_key, ERR_BAD_CSR, "", true},
    {"refuses_csr_signed_with_sha1", sha1_signed, ERR_BAD_CSR, "", true},
    {"refuses_csr_signed_with_sha1_of_another_protocol_than_scep", sha1_signed_of_another_protocol, ERR_BAD_REQUEST, "", false},
    {"refuses_csr_that_asks_for_ca", asks_ca, ERR_BAD_CSR, "", true},
    {"refuses_csr_that_asks_for_must_staple", asks_must_staple, ERR_BAD_CSR, "", true},
    {"refuses_csr_with_extra_name", extra_name, ERR_BAD_CSR, "", true},
    {"refuses_csr_with_extra_common_name", extra_common_name, ERR_BAD_CSR, "", true},
    {"refuses_csr_that_lacks_a_proven_name", missing_name, ERR_BAD_CSR, "", true},
    {"refuses_unknown_template", unknown_template, ERR_NOT_FOUND, "", true},
    {"refuses_unknown_issuer", unknown_issuer, ERR_NOT_FOUND, "", true},
    {"refuses_key_type_beyond_the_template", key_type_of_no_template, ERR_DENIED, "AUTH-004", true},
    {"refuses_validity_beyond_the_template", too_long_validity, ERR_DENIED, "AUTH-004", true},
    {"refuses_csr_without_any_name", no_name, ERR_DENIED, "AUTH-004", true},
};

static void
refuses_what_it_should(void **state)
{
    struct fixture *fixture = *state;

    issue(fixture, "good", "a.example"); /* the acceptance beside the refusals */
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        const struct refusal_case *c = &refusals[i];
        Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
        Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, c->name, "a.example");
        c->spoil(fixture, request);
        enum error error = enroll(&fixture->ra, fixture->rq, request, &reply);
        if (error != c->expected || !text_equal(fixture->rq->failure.layer, c->layer))
            fail_msg("%s: %s, %s, %s", c->name, error_name(error), fixture->rq->failure.layer, fixture->rq->failure.message);
        const char *records = arena_format(fixture->rq->arena,
                                           "SELECT count(*) FROM audit.event WHERE action = 'enroll.refused' AND detail ->> 'key' = '%s' "
                                           "AND result = '%s'",
                                           c->name, error_name(error));
        if (ask_number(records) != c->audited)
            fail_msg("%s: audited or not, the contrary was expected", c->name);
        failure_clear(fixture->rq);
    }
    assert_int_equal(signer.signed_certificates, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent"), 1);
}

/* The signer of this test makes certificates without usages. */
static void
what_is_not_granted_is_on_record(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "wishes", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/", .names = "DNS:a.example", .extended_key_usage = "codeSigning"});
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued' AND detail ->> 'key' = 'wishes' AND "
                                "detail ->> 'not_granted' = 'extKeyUsage codeSigning'"),
                     1);
    const struct request_note *note = fixture->rq->notes;
    while (strcmp(note->key, "not_granted") != 0)
        assert_true(++note < fixture->rq->notes + fixture->rq->note_count);
    assert_string_equal(note->value, "extKeyUsage codeSigning");
}

static void
proven_names_are_certified_and_nothing_else_of_the_subject(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct certificate certificate;

    signer.templates[0]->subject = "csr";
    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/O=Bank/CN=b.example", .names = "DNS:A.example,DNS:b.example"});
    prove(fixture, request, "B.example", "a.example");
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    signer.templates[0]->subject = "common-name";
    assert_int_equal(certificate_parse(fixture->rq, message_bytes(reply.certificate), &certificate), OK);
    assert_string_equal(name_format(fixture->rq->arena, certificate.subject), "CN=b.example");
}

/* What the certificate names, as "type:value" with blanks between. */
static const char *
names_of(struct request *rq, struct bytes der)
{
    struct certificate certificate;
    struct identifier *names;
    struct buffer shown = buffer_in(rq->arena);
    size_t count;

    assert_int_equal(certificate_parse(rq, der, &certificate), OK);
    assert_int_equal(certificate_names(rq, &certificate, &names, &count), OK);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&shown, "%s%s:%s", i > 0 ? " " : "", identifier_type_name(names[i].type), names[i].value);
    return buffer_text(&shown);
}

static void
a_csr_may_leave_out_an_attested_device_and_the_template_says_whether_it_is_certified(void **state)
{
    static Pb__NameType with_devices[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_PERMANENT_IDENTIFIER};
    struct fixture *fixture = *state;
    const struct identifier device = {IDENTIFIER_PERMANENT, "C02XYZ"};
    const struct kit_extension names = {.oid = "2.5.29.17", .value = identifiers_encode(fixture->rq->arena, &device, 1)};
    static const struct {
        bool template_has, csr_has;
        const char *names; /* NULL: refused */
    } cases[] = {
        {false, false, "dns:a.example"},
        {true, false, "dns:a.example permanent-identifier:C02XYZ"},
        {true, true, "permanent-identifier:C02XYZ"},
        {false, true, NULL},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *key = arena_format(fixture->rq->arena, "order-%zu", i);
        Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, key, "a.example");
        Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
        Pb__NameType *usual = signer.templates[0]->name_types;
        prove(fixture, request, "a.example", "C02XYZ");
        request->proven_names[1]->type = PB__NAME_TYPE__NAME_TYPE_PERMANENT_IDENTIFIER;
        if (cases[i].csr_has) {
            set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/CN=C02XYZ", .more = &names, .more_count = 1});
            prove(fixture, request, "C02XYZ", NULL);
            request->proven_names[0]->type = PB__NAME_TYPE__NAME_TYPE_PERMANENT_IDENTIFIER;
        }
        signer.templates[0]->name_types = cases[i].template_has ? with_devices : usual;
        enum error error = enroll(&fixture->ra, fixture->rq, request, &reply);
        signer.templates[0]->name_types = usual;
        assert_int_equal(error, cases[i].names != NULL ? OK : ERR_DENIED);
        if (cases[i].names != NULL)
            assert_string_equal(names_of(fixture->rq, message_bytes(reply.certificate)), cases[i].names);
        failure_clear(fixture->rq);
    }
}

static void
another_device_than_the_attested_one_is_refused(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    const struct identifier device = {IDENTIFIER_PERMANENT, "C02XYZ"};
    const struct kit_extension names = {.oid = "2.5.29.17", .value = identifiers_encode(fixture->rq->arena, &device, 1)};

    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/", .more = &names, .more_count = 1});
    prove(fixture, request, "C02XYY", NULL);
    request->proven_names[0]->type = PB__NAME_TYPE__NAME_TYPE_PERMANENT_IDENTIFIER;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_BAD_CSR);
}

static void
refuses_a_mail_address_that_only_the_subject_has(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.templates[0]->subject = "csr";
    set_csr(fixture, request,
            &(struct kit_csr){.key = fixture->key, .subject = "/CN=a.example/emailAddress=boss@b.example", .names = "DNS:a.example"});
    enum error error = enroll(&fixture->ra, fixture->rq, request, &reply);
    signer.templates[0]->subject = "common-name";
    assert_int_equal(error, ERR_BAD_CSR);
    assert_non_null(strstr(fixture->rq->failure.message, "boss@b.example"));
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.refused'"), 1);
}

static void
refuses_a_blocked_key(void **state)
{
    struct fixture *fixture = *state;
    struct public_key key;
    uint8_t sha256[32];
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    assert_int_equal(public_key_parse(fixture->rq, kit_spki(fixture->rq->arena, fixture->key), &key), OK);
    public_key_sha256(&key, sha256);
    postgres_kit_run(postgres, arena_format(fixture->rq->arena, "INSERT INTO ra.blocked_key (spki_sha256, why) VALUES ('\\x%s', 'test')",
                                            bytes_hex(fixture->rq->arena, BYTES(sha256, 32), 0)));
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "a.example"), &reply), ERR_BAD_CSR);
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.refused'"), 1);
}

/* ---- approval ------------------------------------------------------------------------------------------------------------------------------- */

static void
approval_is_stored_and_audited_as_pending(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "code-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT, again = PB__ENROLL_REPLY__INIT;

    set_csr(fixture, request, &(struct kit_csr){.key = fixture->key, .subject = "/O=Example/CN=Our Programs"});
    request->template_ = "Code-Signing";
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_PENDING);
    assert_int_equal(reply.certificate.len, 0);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &again), OK);
    assert_true(bytes_equal(message_bytes(reply.intent_id), message_bytes(again.intent_id)));
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'pending'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.pending'"), 1);
}

static void
a_channel_can_want_approval_where_the_template_does_not(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "device-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    request->wants_approval = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_PENDING);
    assert_int_equal(signer.signed_certificates, 0);
}

/* A check costs as much as the signature of the certificate: what a gateway has checked for its own answers is not checked twice. */
static void
takes_the_word_of_a_channel_that_has_checked_the_proof_of_possession(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "checked", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    request->csr.data[request->csr.len - 1] ^= 1;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_BAD_CSR);
    failure_clear(fixture->rq);
    request->proof_is_checked = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
}

/* Its record tells, so that one can see which devices are still to be replaced. */
static void
a_device_of_a_legacy_profile_may_sign_its_csr_with_sha1(void **state)
{
    struct fixture *fixture = *state;
    AUTO(EVP_PKEY, key) = kit_key("rsa-2048");
    Pb__EnrollRequest *request = good_request(fixture->rq, key, "router-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    fixture->rq->caller = "scep-gw";
    request->channel = "scep/routers";
    request->principal->kind = "scep-challenge";
    request->sha1_proof = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK); /* it need not be */
    request->idempotency_key = "router-2";
    set_csr(fixture, request, &(struct kit_csr){.key = key, .subject = "/", .names = "DNS:a.example", .digest = EVP_sha1()});
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued'"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued' AND detail ->> 'key' = 'router-2'"
                                " AND detail ->> 'csr_signature' = 'sha1WithRSAEncryption'"),
                     1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE detail ? 'csr_signature'"), 1);
    request->csr.data[request->csr.len - 1] ^= 1;
    request->idempotency_key = "router-3";
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_BAD_CSR);
    assert_non_null(strstr(fixture->rq->failure.message, "does not verify"));
}

/* ---- renewal -------------------------------------------------------------------------------------------------------------------------------- */

/* A request for old.example whose changeSubjectName (RFC 6402 §2.8) has new.example. */
static struct bytes
renaming_csr(struct arena *arena, EVP_PKEY *key)
{
    struct buffer out = buffer_in(arena);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, 0);
    der_put_whole(&out, kit_name(arena, "/CN=old.example"));
    der_put_whole(&out, kit_spki(arena, key));
    size_t attributes = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), attribute = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_CHANGE_SUBJECT_NAME);
    size_t values = der_open(&out, DER_SET), change = der_open(&out, DER_SEQUENCE);
    der_put_whole(&out, kit_name(arena, "/CN=new.example"));
    der_close(&out, change);
    der_close(&out, values);
    der_close(&out, attribute);
    der_close(&out, attributes);
    der_close(&out, info);
    return csr_join(arena, buffer_bytes(&out), SIG_ECDSA_SHA256, kit_sign(arena, key, NULL, buffer_bytes(&out)));
}

static void
a_changed_name_counts_for_renewals_only(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;

    for (int renews = 0; renews < 2; renews++) {
        Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, renews ? "renewal" : "enrolment", "a.example");
        Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
        request->csr = message_data(renaming_csr(arena, fixture->key));
        request->names_are_proven = false;
        request->n_proven_names = 0;
        request->change_names = renews;
        request->wants_approval = true; /* the plan is what matters here */
        assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE idempotency_key = 'renewal' AND position('new.example'::bytea IN intent) > 0 "
                                "AND position('old.example'::bytea IN intent) = 0"),
                     1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE idempotency_key = 'enrolment' AND position('old.example'::bytea IN intent) > 0 "
                                "AND position('new.example'::bytea IN intent) = 0"),
                     1);
}

/* ---- bad days --------------------------------------------------------------------------------------------------------------------------------- */

static void
intent_stays_open_while_the_signer_is_away_and_the_repeat_continues_it(void **state)
{
    static const enum error kinds[] = {ERR_BUSY, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_INTERNAL};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
        Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, error_name(kinds[i]), "a.example");
        signer.failing = kinds[i];
        assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), kinds[i]);
        failure_clear(fixture->rq);
        assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open'"), 1);
        char *id = postgres_kit_ask(postgres, "SELECT encode(id, 'hex') FROM ra.intent WHERE status = 'open'");
        signer.failing = OK;
        assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
        assert_string_equal(bytes_hex(fixture->rq->arena, message_bytes(reply.intent_id), 0), id);
        assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open'"), 0);
        free(id);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action LIKE '%refused'"), 0);
}

static void
unknown_warrant_key_is_an_operators_trouble(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.failing = ERR_UNAUTHENTICATED;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "a.example"), &reply), ERR_UNAVAILABLE);
    assert_true(fixture->rq->failure.retry_after_s > 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open'"), 1);
}

static void
signers_refusal_closes_the_intent_for_good(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.failing = ERR_DENIED;
    signer.failing_message = "the CA's own limits forbid it";
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    failure_clear(fixture->rq);
    signer.failing = OK;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    assert_string_equal(fixture->rq->failure.message, "the CA's own limits forbid it");
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'refused' AND closed_at IS NOT NULL"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'intent.refused' AND result = 'denied'"), 1);
}

static void
certificate_of_another_intent_is_not_stored(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.answers_another = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "a.example"), &reply), ERR_INTERNAL);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open'"), 1);
}

static void
without_a_signer_nothing_is_known_and_nothing_done(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.directory_failing = ERR_UNAVAILABLE;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "a.example"), &reply), ERR_UNAVAILABLE);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.record"), 0);
}

static void
directory_stays_in_force_while_the_signer_is_away(void **state)
{
    struct fixture *fixture = *state;

    issue(fixture, "order-1", "a.example");
    signer.directory_failing = ERR_UNAVAILABLE;
    issue(fixture, "order-2", "a.example");
}

static void
missing_partition_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-2", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    int month = serial_month_of(clock_now_s() + 90 * DAY_S - 3600);

    issue(fixture, "order-1", "a.example");
    postgres_kit_run(postgres, arena_format(fixture->rq->arena, "DROP TABLE ra.certificate_%d_%02d", 2000 + month / 12, month % 12 + 1));
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_UNAVAILABLE);
    failure_clear(fixture->rq);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
}

/* ---- many at once --------------------------------------------------------------------------------------------------------------------------- */

struct caller {
    struct fixture *fixture;
    struct request *rq;
    Pb__EnrollRequest *request;
    Pb__EnrollReply reply;
    enum error error;
};

static void *
call(void *argument)
{
    struct caller *caller = argument;

    pb__enroll_reply__init(&caller->reply);
    caller->error = enroll(&caller->fixture->ra, caller->rq, caller->request, &caller->reply);
    return NULL;
}

#define CALLERS 24

static void
call_at_once(struct fixture *fixture, struct caller *callers, const char *(*key_of)(struct request *rq, int caller))
{
    pthread_t threads[CALLERS];
    struct bytes csr = message_bytes(good_request(fixture->rq, fixture->key, "x", "a.example")->csr);

    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.fixture = fixture, .rq = request_new()};
        callers[i].request = good_request(callers[i].rq, fixture->key, key_of(callers[i].rq, i), "a.example");
        callers[i].request->csr = message_data(csr);
    }
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call, &callers[i]), 0);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static const char *
one_key(struct request *rq, int caller)
{
    return "order-1";
}

static const char *
own_key(struct request *rq, int caller)
{
    return arena_format(rq->arena, "order-%d", caller);
}

static void
callers_with_one_key_get_one_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct caller callers[CALLERS];

    call_at_once(fixture, callers, one_key);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].error, OK);
        assert_true(bytes_equal(message_bytes(callers[i].reply.certificate), message_bytes(callers[0].reply.certificate)));
    }
    for (int i = 0; i < CALLERS; i++)
        request_free(callers[i].rq);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 1);
    assert_int_equal(count_announced(fixture), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.record"), 1);
}

static void
callers_with_own_keys_get_own_certificates(void **state)
{
    struct fixture *fixture = *state;
    struct caller callers[CALLERS];

    call_at_once(fixture, callers, own_key);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].error, OK);
        request_free(callers[i].rq);
    }
    assert_int_equal(ask_number("SELECT count(DISTINCT serial) FROM ra.certificate"), CALLERS);
    assert_int_equal(count_announced(fixture), CALLERS);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.record"), CALLERS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(issues_stores_audits_and_announces),
        CASE(event_tells_everything),
        CASE(repeat_gets_the_same_certificate),
        CASE(repeat_is_answered_though_policy_would_refuse_now),
        CASE(repeat_hears_of_a_certificate_that_is_kept_no_more),
        CASE(same_key_with_another_request_conflicts),
        CASE(refuses_what_it_should),
        CASE(what_is_not_granted_is_on_record),
        CASE(proven_names_are_certified_and_nothing_else_of_the_subject),
        CASE(a_csr_may_leave_out_an_attested_device_and_the_template_says_whether_it_is_certified),
        CASE(another_device_than_the_attested_one_is_refused),
        CASE(refuses_a_mail_address_that_only_the_subject_has),
        CASE(refuses_a_blocked_key),
        CASE(approval_is_stored_and_audited_as_pending),
        CASE(a_channel_can_want_approval_where_the_template_does_not),
        CASE(takes_the_word_of_a_channel_that_has_checked_the_proof_of_possession),
        CASE(a_device_of_a_legacy_profile_may_sign_its_csr_with_sha1),
        CASE(a_changed_name_counts_for_renewals_only),
        CASE(intent_stays_open_while_the_signer_is_away_and_the_repeat_continues_it),
        CASE(unknown_warrant_key_is_an_operators_trouble),
        CASE(signers_refusal_closes_the_intent_for_good),
        CASE(certificate_of_another_intent_is_not_stored),
        CASE(without_a_signer_nothing_is_known_and_nothing_done),
        CASE(directory_stays_in_force_while_the_signer_is_away),
        CASE(missing_partition_is_made_again),
        CASE(callers_with_one_key_get_one_certificate),
        CASE(callers_with_own_keys_get_own_certificates),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
