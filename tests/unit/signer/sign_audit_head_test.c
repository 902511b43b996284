/* SignAuditHead: the head as the contract defines it, one key for ever, and seals that cannot be. */
#include "signer_fixture.h"

#include <openssl/sha.h>
#include <pthread.h>

static const uint8_t zero[32], root[32] = {1, 2, 3}, previous[32] = {9};

static Pb__SignAuditHeadRequest
usual_request(void)
{
    Pb__SignAuditHeadRequest request = PB__SIGN_AUDIT_HEAD_REQUEST__INIT;

    request.seal = 258;
    request.first_position = 1000;
    request.last_position = 1999;
    request.root = message_data(BYTES(root, sizeof root));
    request.previous_head = message_data(BYTES(previous, sizeof previous));
    request.sealed_at_us = 1795000000000001;
    return request;
}

static void *
sign_one(void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignAuditHeadRequest request = usual_request();
    Pb__SignAuditHeadReply reply = PB__SIGN_AUDIT_HEAD_REPLY__INIT;

    /* The key may be in the making by another caller: then it is asked again, as ra does. */
    for (int i = 0; i < 50; i++) {
        failure_clear(rq);
        if (sign_audit_head(&signer, rq, &request, &reply) == OK)
            break;
        clock_sleep_ms(50);
    }
    assert_int_equal(reply.public_key.len, 91);
    SHA256(reply.public_key.data, reply.public_key.len, context);
    return NULL;
}

static void
first_callers_agree_on_one_key(void **state)
{
    enum { CALLERS = 6 };
    pthread_t threads[CALLERS];
    uint8_t keys[CALLERS][32];

    for (int i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, sign_one, keys[i]);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 1; i < CALLERS; i++)
        assert_memory_equal(keys[i], keys[0], 32);
    restart_signer();
    uint8_t later[32];
    sign_one(later);
    assert_memory_equal(later, keys[0], 32);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.service_key"), 1);
}

static void
the_head_is_what_the_contract_says(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignAuditHeadRequest request = usual_request();
    Pb__SignAuditHeadReply reply = PB__SIGN_AUDIT_HEAD_REPLY__INIT;
    static const uint8_t numbers[] = {0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0x03, 0xe8, 0, 0, 0, 0, 0, 0, 0x07, 0xcf};
    static const uint8_t time[] = {0x00, 0x06, 0x60, 0x8a, 0x24, 0x11, 0x76, 0x01};
    struct buffer message = buffer_in(rq->arena);
    struct public_key key;
    uint8_t head[32];

    request.sealed_at_us = 0x0006608a24117601;
    assert_int_equal(sign_audit_head(&signer, rq, &request, &reply), OK);
    buffer_append(&message, "signet-audit-head-v1", 21);
    buffer_append(&message, numbers, sizeof numbers);
    buffer_append(&message, root, 32);
    buffer_append(&message, previous, 32);
    buffer_append(&message, time, sizeof time);
    SHA256(message.at, message.len, head);
    assert_true(bytes_equal(message_bytes(reply.head), BYTES(head, 32)));
    assert_int_equal(public_key_parse(rq, message_bytes(reply.public_key), &key), OK);
    assert_int_equal(key.type, KEY_P256);
    assert_true(signature_verify(&key, SIG_ECDSA_SHA256, BYTES(head, 32), message_bytes(reply.signature)));
    head[0] ^= 1;
    assert_false(signature_verify(&key, SIG_ECDSA_SHA256, BYTES(head, 32), message_bytes(reply.signature)));
    assert_true(text_starts_with(reply.key_uri, "pkcs11:token=signet;object=signet-audit;"));
}

static void
refuses_seals_that_cannot_be(void **state)
{
    static const char *const cases[] = {"seal 0",           "position 0",     "no records",    "short root",
                                        "no previous head", "first with one", "second at one", "no time"};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignAuditHeadRequest request = usual_request();
        Pb__SignAuditHeadReply reply = PB__SIGN_AUDIT_HEAD_REPLY__INIT;
        const char *what = cases[i];
        request.seal = text_equal(what, "seal 0") ? 0 : text_equal(what, "first with one") ? 1 : request.seal;
        request.first_position = text_equal(what, "position 0") ? 0 : request.first_position;
        if (text_equal(what, "first with one") || text_equal(what, "second at one"))
            request.first_position = 1;
        request.last_position = text_equal(what, "no records") ? 999 : request.last_position;
        request.root.len -= text_equal(what, "short root");
        if (text_equal(what, "no previous head"))
            request.previous_head = message_data(BYTES(zero, sizeof zero));
        request.sealed_at_us = text_equal(what, "no time") ? 0 : request.sealed_at_us;
        enum error error = sign_audit_head(&signer, rq, &request, &reply);
        if (error != ERR_BAD_REQUEST)
            fail_msg("%s: %s", what, error_name(error));
    }
}

static void
the_first_seal_has_no_previous_head(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignAuditHeadRequest request = usual_request();
    Pb__SignAuditHeadReply reply = PB__SIGN_AUDIT_HEAD_REPLY__INIT;

    request.seal = request.first_position = 1;
    request.previous_head = message_data(BYTES(zero, sizeof zero));
    assert_int_equal(sign_audit_head(&signer, rq, &request, &reply), OK);
}

static void
a_key_whose_maker_died_is_made_under_the_same_uri(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, early) = request_new();
    struct service_key key;

    postgres_kit_run(postgres, "INSERT INTO ca.service_key (name, key_uri) VALUES ('ocsp:gone', 'pkcs11:token=signet;object=x;id=%01')");
    assert_int_equal(service_key_load(&signer, early, "ocsp:gone", &key), ERR_UNAVAILABLE);
    postgres_kit_run(postgres, "UPDATE ca.service_key SET begun_at = now() - interval '91 seconds' WHERE name = 'ocsp:gone'");
    assert_int_equal(service_key_load(&signer, rq, "ocsp:gone", &key), OK);
    assert_string_equal(key.uri, "pkcs11:token=signet;object=x;id=%01"); /* what the dead one had made is found, and no second key stays behind */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_callers_agree_on_one_key),
        cmocka_unit_test(the_head_is_what_the_contract_says),
        cmocka_unit_test(refuses_seals_that_cannot_be),
        cmocka_unit_test(the_first_seal_has_no_previous_head),
        cmocka_unit_test(a_key_whose_maker_died_is_made_under_the_same_uri),
    };

    log_open("sign-audit-head-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
