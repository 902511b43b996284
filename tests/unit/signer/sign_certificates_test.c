/* SignCertificates: from warranted intents to certificates that OpenSSL accepts, and everything that must be refused on the way. */
#include "signer_fixture.h"

#include <openssl/sha.h>

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
warrant_for_all(struct request *rq, const struct bytes *intents, size_t count)
{
    struct buffer message = buffer_in(rq->arena);
    uint8_t digest[SHA256_DIGEST_LENGTH];

    buffer_append(&message, "signet-warrant-v2", sizeof "signet-warrant-v2");
    for (size_t i = 0; i < count; i++)
        buffer_append(&message, SHA256(intents[i].at, intents[i].len, digest), sizeof digest);
    return kit_sign(rq->arena, warrant_key, NULL, buffer_bytes(&message));
}

static struct bytes
warrant_for(struct request *rq, struct bytes intent)
{
    return warrant_for_all(rq, &intent, 1);
}

static enum error
ask_all(struct request *rq, const struct bytes *intents, size_t count, struct bytes warrant, Pb__SignCertificatesReply *ret_reply)
{
    Pb__SignCertificatesRequest request = PB__SIGN_CERTIFICATES_REQUEST__INIT;

    request.intents = arena_array(rq->arena, count, sizeof *request.intents);
    request.n_intents = count;
    for (size_t i = 0; i < count; i++)
        request.intents[i] = message_data(intents[i]);
    request.warrant = message_data(warrant);
    pb__sign_certificates_reply__init(ret_reply);
    return sign_certificates(&signer, rq, &request, ret_reply);
}

/* One alone; its refusal is told as that of the call. */
static enum error
ask(struct request *rq, struct bytes intent, struct bytes warrant, struct bytes *ret_certificate)
{
    Pb__SignCertificatesReply reply;

    enum error error = ask_all(rq, &intent, 1, warrant, &reply);
    if (error != OK)
        return error;
    assert_int_equal(reply.n_signings, 1);
    if (reply.signings[0]->error[0] != '\0') {
        assert_int_equal(reply.signings[0]->certificate.len, 0);
        fail(rq, error_from_name(reply.signings[0]->error), "%s", reply.signings[0]->message);
        return fail_retry_after(rq, (int)reply.signings[0]->retry_after_s);
    }
    *ret_certificate = message_bytes(reply.signings[0]->certificate);
    return OK;
}

static enum error
sign(struct request *rq, const struct wish *wish, struct bytes *ret_certificate)
{
    struct bytes intent = pack_intent(rq, wish), warrant = warrant_for(rq, intent);

    if (wish->spoil_warrant)
        ((uint8_t *)warrant.at)[5] ^= 1;
    if (wish->spoil_intent)
        ((uint8_t *)intent.at)[intent.len - 1] ^= 1;
    return ask(rq, intent, warrant, ret_certificate);
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

static struct bytes
stored_certificate(struct request *rq, const char *ca)
{
    char *hex = postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT encode(certificate, 'hex') FROM ca.authority WHERE name = '%s'", ca));
    struct bytes der;

    assert_true(bytes_from_hex(rq->arena, hex, &der));
    free(hex);
    return der;
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
        struct bytes certificate = BYTES_NONE;
        wish.issuer = cases[i].issuer;
        wish.key = cases[i].rsa ? applicant_rsa : applicant_p256;
        if (sign(rq, &wish, &certificate) != OK)
            fail_msg("%s %s", rq->failure.message, rq->failure.detail);
        struct bytes chain[] = {stored_certificate(rq, cases[i].issuer), stored_certificate(rq, "root")};
        assert_true(openssl_verifies(certificate, chain, 2));
        X509 *x509 = x509_of(certificate);
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
    struct bytes first = BYTES_NONE, second = BYTES_NONE;
    struct certificate one, two;

    assert_int_equal(ask(rq, intent, warrant, &first), OK);
    restart_signer();
    assert_int_equal(ask(rq, intent, warrant, &second), OK);
    assert_int_equal(certificate_parse(rq, first, &one), OK);
    assert_int_equal(certificate_parse(rq, second, &two), OK);
    assert_true(bytes_equal(one.tbs, two.tbs));
}

static const char *
note_of(const struct request *rq, const char *key)
{
    for (size_t i = 0; i < rq->note_count; i++)
        if (text_equal(rq->notes[i].key, key))
            return rq->notes[i].value;
    return "";
}

static const char *
serial_of(struct request *rq, struct bytes intent)
{
    const Pb__CertificateIntent *about = (const Pb__CertificateIntent *)message_unpack(rq->arena, &pb__certificate_intent__descriptor, intent);

    return bytes_hex(rq->arena, message_bytes(about->serial), 0);
}

/* More than one share, more than one message to the HSM, two CAs. */
#define MANY 50

static void
signs_many_at_once_and_one_refused_hurts_no_other(void **state)
{
    static const size_t refused = 13;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCertificatesReply reply;
    struct bytes intents[MANY];
    struct certificate read;

    for (size_t i = 0; i < MANY; i++) {
        struct wish wish = usual_wish(rq);
        wish.issuer = i % 5 == 0 ? "issuing-rsa" : ISSUER;
        wish.template = i == refused ? "Certificate Authority" : wish.template;
        intents[i] = pack_intent(rq, &wish);
    }
    assert_int_equal(ask_all(rq, intents, MANY, warrant_for_all(rq, intents, MANY), &reply), OK);
    assert_int_equal(reply.n_signings, MANY);
    for (size_t i = 0; i < MANY; i++) {
        const char *serial = serial_of(rq, intents[i]);
        assert_int_equal(strstr(note_of(rq, "serials"), serial) != NULL, i != refused);
        if (i == refused) {
            assert_string_equal(reply.signings[i]->error, "denied");
            assert_non_null(strstr(reply.signings[i]->message, "CA certificates"));
            assert_int_equal(reply.signings[i]->certificate.len, 0);
            continue;
        }
        assert_string_equal(reply.signings[i]->error, "");
        assert_int_equal(certificate_parse(rq, message_bytes(reply.signings[i]->certificate), &read), OK);
        assert_string_equal(bytes_hex(rq->arena, read.serial, 0), serial);
        struct bytes chain[] = {stored_certificate(rq, i % 5 == 0 ? "issuing-rsa" : ISSUER), stored_certificate(rq, "root")};
        assert_true(openssl_verifies(message_bytes(reply.signings[i]->certificate), chain, 2));
    }
    assert_string_equal(note_of(rq, "signed"), "49");
}

static void
a_warrant_is_for_its_intents_in_their_order_and_no_others(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes one = pack_intent(rq, &wish), two = pack_intent(rq, &wish), three = pack_intent(rq, &wish);
    const struct bytes right[] = {one, two}, swapped[] = {two, one}, more[] = {one, two, three}, other[] = {one, three}, twice[] = {one, one};
    const struct {
        const struct bytes *intents;
        size_t count;
        enum error error;
    } cases[] = {{right, 2, OK},
                 {swapped, 2, ERR_UNAUTHENTICATED},
                 {more, 3, ERR_UNAUTHENTICATED},
                 {right, 1, ERR_UNAUTHENTICATED},
                 {other, 2, ERR_UNAUTHENTICATED},
                 {twice, 2, ERR_UNAUTHENTICATED},
                 {right, 0, ERR_BAD_REQUEST}};
    struct bytes warrant = warrant_for_all(rq, right, 2);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, own) = request_new();
        Pb__SignCertificatesReply reply;
        if (ask_all(own, cases[i].intents, cases[i].count, warrant, &reply) != cases[i].error)
            fail_msg("case %zu", i);
        assert_int_equal(reply.n_signings, cases[i].error == OK ? 2 : 0);
    }
}

static void
more_than_a_log_line_can_name_are_not_signed_at_once(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificatesReply reply;
    struct bytes intents[MANY + 1];

    for (size_t i = 0; i < COUNT_OF(intents); i++)
        intents[i] = pack_intent(rq, &wish);
    assert_int_equal(ask_all(rq, intents, MANY + 1, warrant_for_all(rq, intents, MANY + 1), &reply), ERR_BAD_REQUEST);
}

static void
an_hsm_that_dies_with_some_of_many_costs_none(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificatesReply reply;
    struct bytes intents[20];

    for (size_t i = 0; i < COUNT_OF(intents); i++)
        intents[i] = pack_intent(rq, &wish);
    softhsm_kit_disturb(softhsm, "sign crash\n");
    enum error error = ask_all(rq, intents, COUNT_OF(intents), warrant_for_all(rq, intents, COUNT_OF(intents)), &reply);
    softhsm_kit_disturb(softhsm, "");
    assert_int_equal(error, OK); /* the call was good: each intent has its own answer */
    for (size_t i = 0; i < COUNT_OF(intents); i++) {
        assert_string_equal(reply.signings[i]->error, "unavailable");
        assert_int_equal(reply.signings[i]->certificate.len, 0);
    }
    assert_string_equal(note_of(rq, "serials"), "");
    AUTO_STRUCT(request, again) = request_new();
    assert_int_equal(ask_all(again, intents, COUNT_OF(intents), warrant_for_all(again, intents, COUNT_OF(intents)), &reply), OK);
    for (size_t i = 0; i < COUNT_OF(intents); i++)
        assert_string_equal(reply.signings[i]->error, "");
}

/* 300 ms for each signature: longer than a worker goes on before it answers with what it has. */
static void
a_slow_token_answers_in_parts_until_all_are_signed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    Pb__SignCertificatesReply reply;
    struct bytes intents[7]; /* several of them in one message */
    struct certificate read;

    for (size_t i = 0; i < COUNT_OF(intents); i++)
        intents[i] = pack_intent(rq, &wish);
    softhsm_kit_disturb(softhsm, "sign slow\n");
    enum error error = ask_all(rq, intents, COUNT_OF(intents), warrant_for_all(rq, intents, COUNT_OF(intents)), &reply);
    softhsm_kit_disturb(softhsm, "");
    assert_int_equal(error, OK);
    for (size_t i = 0; i < COUNT_OF(intents); i++) {
        assert_string_equal(reply.signings[i]->error, "");
        assert_int_equal(certificate_parse(rq, message_bytes(reply.signings[i]->certificate), &read), OK);
        assert_string_equal(bytes_hex(rq->arena, read.serial, 0), serial_of(rq, intents[i]));
    }
}

static void
a_name_makes_an_empty_subject_enough(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes certificate = BYTES_NONE;

    wish.subject = name_encode(rq->arena, NULL, 0);
    assert_int_equal(sign(rq, &wish, &certificate), OK);
    X509 *x509 = x509_of(certificate);
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
    struct bytes certificate = BYTES_NONE;
    struct wish spoilt = usual_wish(rq), changed = usual_wish(rq);

    spoilt.spoil_warrant = true;
    assert_int_equal(sign(rq, &spoilt, &certificate), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, second) = request_new();
    changed.spoil_intent = true;
    assert_int_equal(sign(second, &changed, &certificate), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, third) = request_new();
    struct wish good = usual_wish(third);
    assert_int_equal(ask(third, pack_intent(third, &good), BYTES_NONE, &certificate), ERR_UNAUTHENTICATED);
    AUTO_STRUCT(request, fourth) = request_new();
    EVP_PKEY *stranger = kit_key("ed25519");
    struct bytes intent = pack_intent(fourth, &good);
    assert_int_equal(ask(fourth, intent, kit_sign(fourth->arena, stranger, NULL, intent), &certificate), ERR_UNAUTHENTICATED);
    EVP_PKEY_free(stranger);
}

static void
refuses_a_warranted_text_that_is_no_intent(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes certificate = BYTES_NONE;
    struct bytes garbage = bytes_of_text("\377\377\377");

    assert_int_equal(ask(rq, garbage, warrant_for(rq, garbage), &certificate), ERR_BAD_REQUEST);
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
        {"root", ERR_DENIED, "a root with CAs below it"},
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
        struct bytes certificate = BYTES_NONE;
        const struct name_part parts[] = {{OID_ORGANIZATION, "Example"}, {OID_COMMON_NAME, "host.example"}};
        EVP_PKEY *own_key = text_equal(what, "key type") ? kit_key("p521") : text_equal(what, "weak key") ? kit_key("rsa-1024") : NULL;
        wish.issuer = text_equal(what, "unknown issuer") ? "nobody" : text_equal(what, "retired issuer") ? "retired" : wish.issuer;
        wish.issuer = text_equal(what, "root") ? "root" : wish.issuer;
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
        enum error error = sign(rq, &wish, &certificate);
        if (error != cases[i].error || strstr(rq->failure.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s %s", what, error_name(error), rq->failure.message, rq->failure.detail);
        assert_null(certificate.at);
        EVP_PKEY_free(own_key);
    }
}

/* Its newest version says so, and the intents were planned with the one before. */
static void
set_enabled(struct request *rq, const char *template, bool enabled)
{
    Pb__ImportTemplateRequest request = PB__IMPORT_TEMPLATE_REQUEST__INIT;
    Pb__ImportTemplateReply reply = PB__IMPORT_TEMPLATE_REPLY__INIT;
    Pb__Template **newest;
    size_t count;

    assert_int_equal(store_list_templates(signer.db, rq, template, 0, &newest, &count), OK);
    newest[0]->enabled = enabled;
    request.template_ = newest[0];
    request.operator_ = "olga";
    assert_int_equal(import_template(&signer, rq, &request, &reply), OK);
    assert_true(reply.changed);
}

static void
a_disabled_template_signs_nothing_in_any_version(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes certificate = BYTES_NONE;

    wish.template = "TLS-Server-Internal";
    assert_int_equal(sign(rq, &wish, &certificate), OK);
    set_enabled(rq, wish.template, false);
    assert_int_equal(sign(rq, &wish, &certificate), ERR_DENIED);
    assert_string_equal(rq->failure.message, "the template TLS-Server-Internal is disabled");
    failure_clear(rq);
    rq->sql_round_trips = 0;
    struct wish other = usual_wish(rq);
    assert_int_equal(sign(rq, &other, &certificate), OK);
    assert_int_equal(rq->sql_round_trips, 0);
    set_enabled(rq, wish.template, true);
    assert_int_equal(sign(rq, &wish, &certificate), OK);
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
        struct bytes certificate = BYTES_NONE;
        const struct name_part parts[] = {{OID_COMMON_NAME, "A. Person"}, {OID_EMAIL_ADDRESS, cases[i].in_subject}};
        wish.template = "Email-SMIME";
        wish.dns[0] = "a@host.example";
        wish.dns[1] = NULL;
        wish.subject = name_encode(rq->arena, parts, COUNT_OF(parts));
        if (sign(rq, &wish, &certificate) != cases[i].error)
            fail_msg("%s: %s", cases[i].in_subject, rq->failure.message);
    }
}

static void
without_the_hsm_it_is_unavailable_and_then_well_again(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, later) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes certificate = BYTES_NONE;

    softhsm_kit_disturb(softhsm, "sign device-error\n");
    assert_int_equal(sign(rq, &wish, &certificate), ERR_UNAVAILABLE);
    assert_true(rq->failure.retry_after_s > 0);
    softhsm_kit_disturb(softhsm, "");
    assert_int_equal(sign(later, &wish, &certificate), OK);
}

static void
a_signature_that_does_not_verify_never_leaves(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes certificate = BYTES_NONE;

    softhsm_kit_disturb(softhsm, "sign wrong\n");
    assert_int_equal(sign(rq, &wish, &certificate), ERR_INTERNAL);
    assert_null(certificate.at);
    softhsm_kit_disturb(softhsm, "");
}

static void
without_the_database_known_cas_still_sign(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, first) = request_new();
    struct wish wish = usual_wish(rq);
    struct bytes certificate = BYTES_NONE;

    assert_int_equal(sign(first, &wish, &certificate), OK);
    postgres_kit_kill(postgres);
    authority_cache_forget(signer.authorities);
    template_use_forget(signer.template_use);
    assert_int_equal(sign(rq, &wish, &certificate), OK);
    postgres_kit_start_again(postgres);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_what_openssl_accepts),
        cmocka_unit_test(the_same_intent_gives_the_same_to_be_signed_octets),
        cmocka_unit_test(signs_many_at_once_and_one_refused_hurts_no_other),
        cmocka_unit_test(a_warrant_is_for_its_intents_in_their_order_and_no_others),
        cmocka_unit_test(more_than_a_log_line_can_name_are_not_signed_at_once),
        cmocka_unit_test(an_hsm_that_dies_with_some_of_many_costs_none),
        cmocka_unit_test(a_slow_token_answers_in_parts_until_all_are_signed),
        cmocka_unit_test(a_name_makes_an_empty_subject_enough),
        cmocka_unit_test(refuses_warrants_that_are_not_ras),
        cmocka_unit_test(refuses_a_warranted_text_that_is_no_intent),
        cmocka_unit_test(refuses_what_ca_or_template_forbid),
        cmocka_unit_test(a_disabled_template_signs_nothing_in_any_version),
        cmocka_unit_test(a_mail_address_in_the_subject_is_one_of_the_names),
        cmocka_unit_test(without_the_hsm_it_is_unavailable_and_then_well_again),
        cmocka_unit_test(a_signature_that_does_not_verify_never_leaves),
        cmocka_unit_test(without_the_database_known_cas_still_sign),
    };

    log_open("sign-certificate-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop);
}
