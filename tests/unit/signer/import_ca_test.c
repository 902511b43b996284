/* ImportCa: what a foreign CA made of our request, and what is not that. */
#include "signer_fixture.h"

static EVP_PKEY *foreign_key, *other_key;

static int
start(void **state)
{
    start_house(state);
    foreign_key = kit_key("p256");
    other_key = kit_key("p256");
    return 0;
}

static int
stop(void **state)
{
    EVP_PKEY_free(foreign_key);
    EVP_PKEY_free(other_key);
    return stop_house(state);
}

static struct bytes
foreign_root(struct request *rq)
{
    return kit_certificate(rq->arena, &(struct kit_certificate){.key = foreign_key,
                                                                .subject = "/O=Foreign/CN=Foreign Root",
                                                                .key_usage = "keyCertSign,cRLSign",
                                                                .is_ca = true,
                                                                .not_before_s = clock_now_s() - 10 * DAY_S,
                                                                .not_after_s = clock_now_s() + 4000 * DAY_S});
}

static EVP_PKEY *
key_of_csr(ProtobufCBinaryData csr)
{
    const uint8_t *at = csr.data;
    X509_REQ *read = d2i_X509_REQ(NULL, &at, (long)csr.len);

    assert_non_null(read);
    EVP_PKEY *key = X509_REQ_get_pubkey(read);
    X509_REQ_free(read);
    return key;
}

static const Pb__Ca *
waiting_ca(struct request *rq, const char *name)
{
    Pb__CreateCaRequest request = ca_request(name, "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    request.csr_only = true;
    assert_int_equal(create_ca(&signer, rq, &request, &reply), OK);
    return reply.ca;
}

static struct kit_certificate
usual_certificate(struct request *rq, EVP_PKEY *key)
{
    return (struct kit_certificate){.key = key,
                                    .subject = "/C=DE/O=Example/CN=imported",
                                    .issuer_der = foreign_root(rq),
                                    .issuer_key = foreign_key,
                                    .key_usage = "keyCertSign,cRLSign",
                                    .is_ca = true,
                                    .not_before_s = clock_now_s() - DAY_S,
                                    .not_after_s = clock_now_s() + 3000 * DAY_S};
}

static enum error
import(struct request *rq, const char *name, struct bytes certificate, const struct bytes *chain, size_t count, Pb__ImportCaReply *ret_reply)
{
    Pb__ImportCaRequest request = PB__IMPORT_CA_REQUEST__INIT;

    request.name = name;
    request.certificate = message_data(certificate);
    request.chain = arena_array(rq->arena, count, sizeof *request.chain);
    for (size_t i = 0; i < count; i++)
        request.chain[i] = message_data(chain[i]);
    request.n_chain = count;
    pb__import_ca_reply__init(ret_reply);
    return import_ca(&signer, rq, &request, ret_reply);
}

static void
the_right_certificate_makes_it_active_and_able_to_sign(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const Pb__Ca *waiting = waiting_ca(rq, "imported");
    EVP_PKEY *key = key_of_csr(waiting->csr);
    struct kit_certificate wish = usual_certificate(rq, key);
    struct bytes root = foreign_root(rq), certificate = kit_certificate(rq->arena, &wish);
    Pb__ImportCaReply reply;

    postgres_kit_run(postgres, "DELETE FROM ca.outbox");
    if (import(rq, "imported", certificate, &root, 1, &reply) != OK)
        fail_msg("%s", rq->failure.message);
    assert_string_equal(reply.ca->status, "active");
    assert_true(reply.ca->is_default);
    assert_int_equal(reply.ca->n_chain, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox"), 1);
    const Pb__Ca *below = make_ca(rq, "below-imported", "p256", "imported");
    struct bytes chain[] = {certificate, root};
    /* Not strictly: the foreign CA's certificates have no key identifiers. */
    assert_true(openssl_verifies_with(message_bytes(below->certificate), chain, 2, 0));

    /* The same again changes nothing, another is refused. */
    assert_int_equal(import(rq, "imported", certificate, &root, 1, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox WHERE event_id LIKE 'ca-created-imported-%'"), 1);
    AUTO_STRUCT(request, again) = request_new();
    assert_int_equal(import(again, "imported", kit_certificate(again->arena, &wish), &root, 1, &reply), ERR_CONFLICT);
    EVP_PKEY_free(key);
}

static enum error
import_other_way(struct request *rq, const char *name, const struct kit_certificate *wish, struct bytes root, Pb__ImportCaReply *ret_reply)
{
    Pb__ImportCaRequest request = PB__IMPORT_CA_REQUEST__INIT;
    ProtobufCBinaryData chain = message_data(root);
    Pb__ImportCaReply reply = PB__IMPORT_CA_REPLY__INIT;

    request.name = name;
    request.certificate = message_data(kit_certificate(rq->arena, wish));
    request.chain = &chain;
    request.n_chain = 1;
    request.alternate = true;
    request.operator_ = "olga";
    enum error error = import_ca(&signer, rq, &request, &reply);
    if (error == OK)
        *ret_reply = reply;
    return error;
}

static void
a_cross_certificate_is_another_way_up(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    EVP_PKEY *key = key_of_csr(waiting_ca(rq, "crossed")->csr);
    struct bytes root = foreign_root(rq);
    struct kit_certificate wish = usual_certificate(rq, key);
    Pb__ImportCaReply reply;

    assert_int_equal(import_other_way(rq, "crossed", &wish, root, &reply), ERR_CONFLICT); /* it has no way up of its own yet */
    failure_clear(rq);
    assert_int_equal(import(rq, "crossed", kit_certificate(rq->arena, &wish), &root, 1, &reply), OK);
    assert_int_equal(reply.ca->n_alternates, 0);
    assert_int_equal(import_other_way(rq, "crossed", &wish, root, &reply), OK);
    assert_int_equal(reply.ca->n_alternates, 1);
    assert_int_equal(reply.ca->alternates[0]->n_certificates, 2);
    assert_true(bytes_equal(message_bytes(reply.ca->alternates[0]->certificates[1]), root));
    assert_int_equal(reply.ca->n_chain, 1); /* the usual way stays as it is */
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox WHERE subject = 'signet.event.configuration.changed'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox WHERE position('olga'::bytea IN body) > 0"), 1);

    struct kit_certificate renamed = wish;
    renamed.subject = "/O=Foreign/CN=Another Name";
    assert_int_equal(import_other_way(rq, "crossed", &renamed, root, &reply), ERR_BAD_REQUEST);
    failure_clear(rq);
    struct kit_certificate of_other_key = wish;
    of_other_key.key = other_key;
    assert_int_equal(import_other_way(rq, "crossed", &of_other_key, root, &reply), ERR_BAD_REQUEST);
    EVP_PKEY_free(key);
}

static void
refuses_what_does_not_fit(void **state)
{
    static const struct {
        const char *what;
        enum error error;
        const char *message;
    } cases[] = {
        {"other key", ERR_BAD_REQUEST, "not for the key"},
        {"not a CA", ERR_BAD_REQUEST, "not that of a CA"},
        {"no keyCertSign", ERR_BAD_REQUEST, "not that of a CA"},
        {"expired", ERR_BAD_REQUEST, "expired"},
        {"no chain", ERR_BAD_REQUEST, "above the CA"},
        {"other chain", ERR_BAD_REQUEST, "did not issue"},
        {"signed by another", ERR_BAD_REQUEST, "did not issue"},
        {"name constraints", ERR_BAD_REQUEST, "nameConstraints"},
        {"critical purpose", ERR_BAD_REQUEST, "not enforced"},
        {"subject of its issuer", ERR_BAD_REQUEST, "subject of its issuer"},
        {"garbage", ERR_BAD_REQUEST, ""},
        {"unknown", ERR_NOT_FOUND, "there is no CA"},
    };
    AUTO_STRUCT(request, setup) = request_new();
    EVP_PKEY *key = key_of_csr(waiting_ca(setup, "picky")->csr);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const char *what = cases[i].what;
        struct kit_certificate wish = usual_certificate(rq, text_equal(what, "other key") ? other_key : key);
        struct bytes root = foreign_root(rq);
        Pb__ImportCaReply reply;
        wish.is_ca = !text_equal(what, "not a CA");
        wish.key_usage = text_equal(what, "no keyCertSign") || text_equal(what, "not a CA") ? "digitalSignature" : wish.key_usage;
        wish.not_after_s = text_equal(what, "expired") ? clock_now_s() - 60 : wish.not_after_s;
        wish.name_constraints = text_equal(what, "name constraints") ? "permitted;DNS:example.com" : NULL;
        wish.extended_key_usage = text_equal(what, "critical purpose") ? "critical,clientAuth" : NULL;
        wish.subject = text_equal(what, "subject of its issuer") ? "/O=Foreign/CN=Foreign Root" : wish.subject;
        wish.issuer_key = text_equal(what, "signed by another") ? other_key : foreign_key;
        struct bytes certificate = text_equal(what, "garbage") ? bytes_of_text("0garbage") : kit_certificate(rq->arena, &wish);
        if (text_equal(what, "other chain"))
            root = kit_certificate(rq->arena,
                                   &(struct kit_certificate){.key = other_key, .subject = "/CN=Other", .key_usage = "keyCertSign", .is_ca = true});
        enum error error =
            import(rq, text_equal(what, "unknown") ? "nobody" : "picky", certificate, &root, text_equal(what, "no chain") ? 0 : 1, &reply);
        if (error != cases[i].error || strstr(rq->failure.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", what, error_name(error), rq->failure.message);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name = 'picky' AND status = 'waiting-for-certificate'"), 1);
    EVP_PKEY_free(key);
}

/* Two imports at one moment, of two certificates with two chains: what the first stored is not mixed with what the second brought. */
static void
whoever_comes_second_changes_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    EVP_PKEY *key = key_of_csr(waiting_ca(rq, "twice")->csr);
    struct kit_certificate wish = usual_certificate(rq, key);
    struct bytes root = foreign_root(rq), certificate = kit_certificate(rq->arena, &wish);
    struct authority_row second;
    Pb__ImportCaReply reply;
    bool found;

    assert_int_equal(store_find_authority(&signer, rq, "twice", &found, &second), OK);
    assert_int_equal(import(rq, "twice", certificate, &root, 1, &reply), OK);
    postgres_kit_run(postgres, "DELETE FROM ca.outbox");
    second.certificate = kit_certificate(rq->arena, &wish);
    second.chain[0] = second.chain[1] = root;
    second.chain_count = 2;
    assert_int_equal(ca_profile_activate(&signer, rq, "", &second), ERR_CONFLICT);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.chain WHERE authority = 'twice'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox"), 0);
    EVP_PKEY_free(key);
}

static void
a_chain_without_its_root_is_refused(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    EVP_PKEY *key = key_of_csr(waiting_ca(rq, "rootless")->csr);
    struct kit_certificate middle_wish = usual_certificate(rq, other_key);
    Pb__ImportCaReply reply;

    middle_wish.subject = "/CN=Middle";
    struct bytes middle = kit_certificate(rq->arena, &middle_wish);
    struct kit_certificate wish = usual_certificate(rq, key);
    wish.issuer_der = middle;
    wish.issuer_key = other_key;
    struct bytes certificate = kit_certificate(rq->arena, &wish), chain[] = {middle, foreign_root(rq)};
    assert_int_equal(import(rq, "rootless", certificate, chain, 1, &reply), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "self-signed root"));
    AUTO_STRUCT(request, second) = request_new();
    assert_int_equal(import(second, "rootless", certificate, chain, 2, &reply), OK);
    assert_int_equal(reply.ca->n_chain, 2);
    EVP_PKEY_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_certificate_makes_it_active_and_able_to_sign),
        cmocka_unit_test(a_cross_certificate_is_another_way_up),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(whoever_comes_second_changes_nothing),
        cmocka_unit_test(a_chain_without_its_root_is_refused),
    };

    log_open("import-ca-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop);
}
