/* ListCas: what everybody else knows of our CAs. */
#include "signer_fixture.h"

static void
tells_all_or_one_with_chain_and_evidence(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListCasReply reply = PB__LIST_CAS_REPLY__INIT;

    rq->caller = "signetctl";
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_cas, 0);
    const Pb__Ca *root = make_ca(rq, "root", "p256", "");
    make_ca(rq, "issuing", "rsa-2048", "root");
    pb__list_cas_reply__init(&reply);
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_cas, 2);
    assert_string_equal(reply.cas[0]->name, "root");
    assert_string_equal(reply.cas[1]->parent, "root");
    assert_true(reply.cas[1]->is_default);
    assert_int_equal(reply.cas[1]->n_chain, 1);
    assert_true(bytes_equal(message_bytes(reply.cas[1]->chain[0]), message_bytes(root->certificate)));
    assert_true(text_starts_with(reply.cas[1]->key_uri, "pkcs11:token=signet;object=signet-ca-issuing;"));
    assert_true(reply.cas[1]->created_at_s > clock_now_s() - 600);
    assert_non_null(strstr(reply.cas[1]->evidence, "SoftHSM"));

    request.name = "issuing";
    pb__list_cas_reply__init(&reply);
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_cas, 1);
    request.name = "nobody";
    pb__list_cas_reply__init(&reply);
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_cas, 0);
}

static void
services_hear_nothing_of_the_keys(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListCasReply reply = PB__LIST_CAS_REPLY__INIT;

    rq->caller = "ocsp-responder";
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_cas, 2);
    for (size_t i = 0; i < reply.n_cas; i++) {
        assert_string_equal(reply.cas[i]->key_uri, "");
        assert_string_equal(reply.cas[i]->evidence, "");
        assert_true(reply.cas[i]->certificate.len > 0);
    }
}

static void
tells_of_a_ca_that_it_is_revoked(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListCasReply reply = PB__LIST_CAS_REPLY__INIT;

    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = to_timestamp(1700000000), reason = 2 WHERE name = 'issuing'");
    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = NULL, reason = NULL WHERE name = 'issuing'");
    assert_int_equal(reply.cas[0]->revoked_at_s, 0);
    assert_int_equal(reply.cas[1]->revoked_at_s, 1700000000);
    assert_int_equal(reply.cas[1]->revocation_reason, PB__REVOCATION_REASON__REVOCATION_REASON_CA_COMPROMISE);
}

static void
the_reply_survives_the_wire(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListCasRequest request = PB__LIST_CAS_REQUEST__INIT;
    Pb__ListCasReply reply = PB__LIST_CAS_REPLY__INIT;

    assert_int_equal(list_cas(&signer, rq, &request, &reply), OK);
    struct bytes packed = message_pack(rq->arena, &reply.base);
    const Pb__ListCasReply *again = (const Pb__ListCasReply *)message_unpack(rq->arena, &pb__list_cas_reply__descriptor, packed);
    assert_non_null(again);
    assert_int_equal(again->n_cas, reply.n_cas);
    assert_string_equal(again->cas[0]->status, "active");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tells_all_or_one_with_chain_and_evidence),
                                       cmocka_unit_test(services_hear_nothing_of_the_keys), cmocka_unit_test(tells_of_a_ca_that_it_is_revoked),
                                       cmocka_unit_test(the_reply_survives_the_wire)};

    log_open("list-cas-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
