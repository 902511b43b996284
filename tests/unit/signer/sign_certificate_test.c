/* SignCertificate: from a warranted intent to a certificate that OpenSSL accepts, and everything that must be refused on the way. */
#include "signer_fixture.h"

#define ISSUER "issuing"

static EVP_PKEY *applicant_p256, *applicant_rsa;

struct wish {
    const char *issuer, *template;
    uint32_t template_version;
    const char *dns[4];
    struct bytes subject;
    EVP_PKEY *key;
    int64_t not_before_s, not_after_s;
    bool spoil_warrant, spoil_intent, other_month;
};

static struct wish
usual_wish(struct request *rq)
{
    return (struct wish){.issuer = ISSUER,
                         .template = "Web Server",
                         .template_version = 1,
                         .dns = {"host.example", "www.host.example"},
                         .subject = common_name(rq->arena, "host.example"),
                         .key = applicant_p256,
                         .not_before_s = clock_now_s() - 60,
                         .not_after_s = clock_now_s() - 61 + 90 * DAY_S};
}

static struct bytes
pack_intent(struct request *rq, const struct wish *wish)
{
    Pb__CertificateIntent intent = PB__CERTIFICATE_INTENT__INIT;
    struct serial serial = serial_new(wish->other_month ? wish->not_after_s + 100 * DAY_S : wish->not_after_s);
    static uint8_t id[16] = {1};

    intent.intent_id = message_data(BYTES(id, sizeof id));
    intent.issuer = wish->issuer;
    intent.template_ = wish->template;
    intent.template_version = wish->template_version;
    intent.serial = message_data(bytes_copy(rq->arena, BYTES(serial.octets, SERIAL_LEN)));
    intent.subject = message_data(wish->subject);
    intent.names = arena_array(rq->arena, COUNT_OF(wish->dns), sizeof *intent.names);
    for (size_t i = 0; i < COUNT_OF(wish->dns) && wish->dns[i] != NULL; i++) {
        intent.names[i] = arena_alloc(rq->arena, sizeof **intent.names);
        pb__name__init(intent.names[i]);
        intent.names[i]->type = strchr(wish->dns[i], '@') != NULL ? PB__NAME_TYPE__NAME_TYPE_EMAIL : PB__NAME_TYPE__NAME_TYPE_DNS;
        intent.names[i]->value = wish->dns[i];
        intent.n_names++;
    }
    intent.not_before_s = wish->not_before_s;
    intent.not_after_s = wish->not_after_s;
    intent.public_key = message_data(kit_spki(rq->arena, wish->key));
    return message_pack(rq->arena, &intent.base);
}

static struct bytes
warrant_for(struct request *rq, struct bytes intent)
{
    struct buffer message = buffer_in(rq->arena);

    buffer_append(&message, "signet-warrant-v1", sizeof "signet-warrant-v1");
    buffer_append(&message, intent.at, intent.len);
    return kit_sign(rq->arena, warrant_key, NULL, buffer_bytes(&message));
}

static enum error
ask(struct request *rq, struct bytes intent, struct bytes warrant, Pb__SignCertificateReply *ret_reply)
{
    Pb__SignCertificateRequest request = PB__SIGN_CERTIFICATE_REQUEST__INIT;

    request.intent = message_data(intent);
    request.warrant = message_data(warrant);
    pb__sign_certificate_reply__init(ret_reply);
    return sign_certificate(&signer, rq, &request, ret_reply);
}

static enum error
sign(struct request *rq, const struct wish *wish, Pb__SignCertificateReply *ret_reply)
{
    struct bytes intent = pack_intent(rq, wish), warrant = warrant_for(rq, intent);

    if (wish->spoil_warrant)
        ((uint8_t *)warrant.at)[5] ^= 1;
    if (wish->spoil_intent)
        ((uint8_t *)intent.at)[intent.len - 1] ^= 1;
    return ask(rq, intent, warrant, ret_reply);
}

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "rsa-2048", "");
    make_ca(rq, ISSUER, "p256", "root");
    make_ca(rq, "issuing-rsa", "rsa-2048", "root");
    make_ca(rq, "retired", "p256", "root");
    postgres_kit_run(postgres, "UPDATE ca.authority SET status = 'retired' WHERE name = 'retired'");
    applicant_p256 = kit_key("p256");
    applicant_rsa = kit_key("rsa-2048");
    return 0;
}

static int
stop(void **state)
{
    EVP_PKEY_free(applicant_p256);
    EVP_PKEY_free(applicant_rsa);
    return stop_house(state);
}

static void
signs_what_openssl_accepts(void **state)
{
    static const struct {
        const char *issuer;
        bool rsa;
        uint32_t key_usage;
    } cases[] = {
        {ISSUER, false, KU_DIGITAL_SIGNATURE}, /* RFC 8813: nothing is enciphered with an EC key */
        {ISSUER, true, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT},
        {"issuing-rsa", false, KU_DIGITAL_SIGNATURE},
        {"issuing-rsa", true, KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct wish wish = usual_wish(rq);
        Pb__SignCertificateReply reply;
        wish.issuer = cases[i].issuer;
        wish.key = cases[i].rsa ? applicant_rsa : applicant_p256;
        if (sign(rq, &wish, &reply) != OK)
            fail_msg("%s %s", rq->failure.message, rq->failure.detail);
        assert_int_equal(reply.n_chain, 1); /* the issuer, without the root */
        char *root_hex = postgres_kit_ask(postgres, "SELECT encode(certificate, 'hex') FROM ca.authority WHERE name = 'root'");
        struct bytes chain[] = {message_bytes(reply.chain[0]), BYTES_NONE};
        assert_true(bytes_from_hex(rq->arena, root_hex, &chain[1]));
        free(root_hex);
        assert_true(openssl_verifies(message_bytes(reply.certificate), chain, 2));
        X509 *x509 = x509_of(message_bytes(reply.certificate));
        assert_int_equal(X509_get_key_usage(x509), cases[i].key_usage);
        assert_int_equal(X509_get_extended_key_usage(x509), XKU_SSL_SERVER);
        assert_int_equal(X509_check_ca(x509), 0);
        assert_int_equal(X509_check_host(x509, "www.host.example", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(x509, "other.example", 0, 0, NULL), 0);
        assert_int_equal(X509_check_purpose(x509, X509_PURPOSE_SSL_SERVER, 0), 1);
        X509_free(x509);
    }
}

static void
the_same_intent_gives_the_same_to_be_signed_octets(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes intent = pack_intent(rq, &wish), warrant = warrant_for(rq, intent);
    Pb__SignCertificateReply first, second;
    struct certificate one, two;

    assert_int_equal(ask(rq, intent, warrant, &first), OK);
    restart_signer();
    assert_int_equal(ask(rq, intent, warrant, &second), OK);
    assert_int_equal(certificate_parse(rq, message_bytes(first.certificate), &one), OK);
    assert_int_equal(certificate_parse(rq, message_bytes(second.certificate), &two), OK);
    assert_true(bytes_equal(one.tbs, two.tbs));
}

static void
notes_what_was_signed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificateReply reply;
    int seen = 0;

    assert_int_equal(sign(rq, &wish, &reply), OK);
    for (size_t i = 0; i < rq->note_count; i++)
        for (size_t k = 0; k < 4; k++)
            seen += text_equal(rq->notes[i].key, (const char *[]){"intent", "serial", "issuer", "template"}[k]);
    assert_int_equal(seen, 4);
}

static void
a_name_makes_an_empty_subject_enough(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificateReply reply;

    wish.subject = name_encode(rq->arena, NULL, 0);
    assert_int_equal(sign(rq, &wish, &reply), OK);
    X509 *x509 = x509_of(message_bytes(reply.certificate));
    int critical = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);
    assert_non_null(names);
    assert_int_equal(critical, 1);
    GENERAL_NAMES_free(names);
    X509_free(x509);
}

static void
refuses_warrants_that_are_not_ras(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCertificateReply reply;
    struct wish spoilt = usual_wish(rq), changed = usual_wish(rq);

    spoilt.spoil_warrant = true;
    assert_int_equal(sign(rq, &spoilt, &reply), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, second) = request_new();
    changed.spoil_intent = true;
    assert_int_equal(sign(second, &changed, &reply), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, third) = request_new();
    struct wish good = usual_wish(third);
    assert_int_equal(ask(third, pack_intent(third, &good), BYTES_NONE, &reply), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, fourth) = request_new();
    EVP_PKEY *stranger = kit_key("ed25519");
    struct bytes intent = pack_intent(fourth, &good);
    assert_int_equal(ask(fourth, intent, kit_sign(fourth->arena, stranger, NULL, intent), &reply), ERR_UNAUTHENTICATED);
    EVP_PKEY_free(stranger);
}

static void
refuses_a_warranted_text_that_is_no_intent(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCertificateReply reply;
    struct bytes garbage = bytes_of_text("\377\377\377");

    assert_int_equal(ask(rq, garbage, warrant_for(rq, garbage), &reply), ERR_BAD_REQUEST);
}

/* Warranted by ra, and still refused: a mistake there must not become a certificate. */
static void
refuses_what_ca_or_template_forbid(void **state)
{
    static const struct {
        const char *what;
        enum error error;
        const char *message;
    } cases[] = {
        {"unknown issuer", ERR_NOT_FOUND, "there is no CA"},
        {"retired issuer", ERR_DENIED, "is retired"},
        {"unknown template", ERR_NOT_FOUND, "there is no template"},
        {"unknown version", ERR_NOT_FOUND, "version 9"},
        {"ca template", ERR_DENIED, "CA certificates"},
        {"serial of another month", ERR_BAD_REQUEST, "month"},
        {"no names", ERR_DENIED, "needs a name"},
        {"e-mail", ERR_DENIED, "does not allow the name"},
        {"twice", ERR_BAD_REQUEST, "twice"},
        {"not canonical", ERR_BAD_REQUEST, "canonical"},
        {"not a name", ERR_BAD_NAME, ""},
        {"foreign subject", ERR_DENIED, "one common name"},
        {"two-part subject", ERR_DENIED, "one common name"},
        {"too long", ERR_DENIED, "length"},
        {"beyond the CA", ERR_DENIED, "valid when the CA"},
        {"before the CA", ERR_DENIED, "valid when the CA"},
        {"backwards", ERR_BAD_REQUEST, "ends before"},
        {"key type", ERR_DENIED, "does not allow the key"},
        {"rsa bits", ERR_DENIED, "does not allow the key"},
        {"weak key", ERR_BAD_CSR, ""},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct wish wish = usual_wish(rq);
        const char *what = cases[i].what;
        Pb__SignCertificateReply reply;
        const struct name_part parts[] = {{OID_ORGANIZATION, "Example"}, {OID_COMMON_NAME, "host.example"}};
        EVP_PKEY *own_key = text_equal(what, "key type") ? kit_key("p521") : text_equal(what, "weak key") ? kit_key("rsa-1024") : NULL;
        wish.issuer = text_equal(what, "unknown issuer") ? "nobody" : text_equal(what, "retired issuer") ? "retired" : wish.issuer;
        wish.template = text_equal(what, "unknown template") ? "None" : text_equal(what, "ca template") ? "Certificate Authority" : wish.template;
        wish.template = text_equal(what, "rsa bits") ? "Code-Signing" : wish.template;
        wish.template_version = text_equal(what, "unknown version") ? 9 : 1;
        wish.other_month = text_equal(what, "serial of another month");
        wish.dns[0] = text_equal(what, "no names") || text_equal(what, "rsa bits") ? NULL : wish.dns[0];
        wish.dns[1] = text_equal(what, "e-mail") ? "a@host.example" : text_equal(what, "twice") ? wish.dns[0] : wish.dns[1];
        wish.dns[1] = text_equal(what, "not canonical") ? "WWW.host.example" : text_equal(what, "not a name") ? "-..-" : wish.dns[1];
        wish.subject = text_equal(what, "foreign subject") ? common_name(rq->arena, "other.example") : wish.subject;
        wish.subject = text_equal(what, "two-part subject") ? name_encode(rq->arena, parts, 2) : wish.subject;
        wish.key = own_key != NULL ? own_key : text_equal(what, "rsa bits") ? applicant_rsa : wish.key;
        wish.not_after_s += text_equal(what, "too long") ? 2 : text_equal(what, "beyond the CA") ? 5000 * DAY_S : 0;
        wish.not_before_s -= text_equal(what, "before the CA") ? DAY_S : text_equal(what, "backwards") ? -200 * DAY_S : 0;
        enum error error = sign(rq, &wish, &reply);
        if (error != cases[i].error || strstr(rq->failure.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s %s", what, error_name(error), rq->failure.message, rq->failure.detail);
        assert_null(reply.certificate.data);
        EVP_PKEY_free(own_key);
    }
}

static void
a_mail_address_in_the_subject_is_one_of_the_names(void **state)
{
    static const struct {
        const char *in_subject;
        enum error error;
    } cases[] = {{"a@host.example", OK}, {"a@HOST.example", OK}, {"boss@host.example", ERR_DENIED}, {"no address", ERR_DENIED}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct wish wish = usual_wish(rq);
        Pb__SignCertificateReply reply;
        const struct name_part parts[] = {{OID_COMMON_NAME, "A. Person"}, {OID_EMAIL_ADDRESS, cases[i].in_subject}};
        wish.template = "Email-SMIME";
        wish.dns[0] = "a@host.example";
        wish.dns[1] = NULL;
        wish.subject = name_encode(rq->arena, parts, COUNT_OF(parts));
        if (sign(rq, &wish, &reply) != cases[i].error)
            fail_msg("%s: %s", cases[i].in_subject, rq->failure.message);
    }
}

static void
without_the_hsm_it_is_unavailable_and_then_well_again(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, later) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificateReply reply;

    softhsm_kit_disturb(softhsm, "sign device-error\n");
    assert_int_equal(sign(rq, &wish, &reply), ERR_UNAVAILABLE);
    assert_true(rq->failure.retry_after_s > 0);
    softhsm_kit_disturb(softhsm, "");
    assert_int_equal(sign(later, &wish, &reply), OK);
}

static void
a_signature_that_does_not_verify_never_leaves(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificateReply reply;

    softhsm_kit_disturb(softhsm, "sign wrong\n");
    assert_int_equal(sign(rq, &wish, &reply), ERR_INTERNAL);
    assert_non_null(strstr(rq->failure.detail, "does not verify"));
    assert_null(reply.certificate.data);
    softhsm_kit_disturb(softhsm, "");
}

static void
without_the_database_known_cas_still_sign(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, first) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificateReply reply;

    assert_int_equal(sign(first, &wish, &reply), OK);
    postgres_kit_kill(postgres);
    authority_cache_forget(signer.authorities);
    assert_int_equal(sign(rq, &wish, &reply), OK);
    postgres_kit_start_again(postgres);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_openssl_accepts),
        cmocka_unit_test(the_same_intent_gives_the_same_to_be_signed_octets),
        cmocka_unit_test(notes_what_was_signed),
        cmocka_unit_test(a_name_makes_an_empty_subject_enough),
        cmocka_unit_test(refuses_warrants_that_are_not_ras),
        cmocka_unit_test(refuses_a_warranted_text_that_is_no_intent),
        cmocka_unit_test(refuses_what_ca_or_template_forbid),
        cmocka_unit_test(a_mail_address_in_the_subject_is_one_of_the_names),
        cmocka_unit_test(without_the_hsm_it_is_unavailable_and_then_well_again),
        cmocka_unit_test(a_signature_that_does_not_verify_never_leaves),
        cmocka_unit_test(without_the_database_known_cas_still_sign),
    };

    log_open("sign-certificate-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop);
}
