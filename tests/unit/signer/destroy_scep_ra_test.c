/* DestroyScepRa: the key is gone from the token, comes never again, and it is on record once; whoever died half-way is asked again. */
#include "signer_fixture.h"

#define PHONES "phones.0123456789abcdef"
#define ANNOUNCED "SELECT count(*) FROM ca.outbox WHERE subject = 'signet.event.configuration.changed'"

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    make_ca(rq, "issuing", "p256", "root");
    return 0;
}

static enum error
get(struct request *rq, const char *profile)
{
    Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
    Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;

    request.profile = profile;
    request.issuer = "issuing";
    return get_scep_ra(&signer, rq, &request, &reply);
}

static enum error
destroy(struct request *rq, const char *profile, bool *ret_destroyed)
{
    Pb__DestroyScepRaRequest request = PB__DESTROY_SCEP_RA_REQUEST__INIT;
    Pb__DestroyScepRaReply reply = PB__DESTROY_SCEP_RA_REPLY__INIT;

    request.profile = profile;
    request.operator_ = "olga";
    enum error error = destroy_scep_ra(&signer, rq, &request, &reply);
    *ret_destroyed = reply.destroyed;
    return error;
}

/* Whether a worker finds the pair of this row. */
static bool
is_on_token(struct request *rq, const char *name)
{
    char *uri = postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT key_uri FROM ca.service_key WHERE name = '%s'", name));
    char *spki = postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT encode(public_key, 'hex') FROM ca.service_key WHERE name = '%s'", name));
    struct hsm_call call = {.operation = HSM_FIND};
    struct hsm_answer answer;
    struct token_key key;
    struct bytes der;

    assert_true(bytes_from_hex(rq->arena, spki, &der));
    assert_int_equal(hsm_key_open(rq, uri, der, SIG_RSA_SHA256, &key), OK);
    memcpy(call.label, key.label, sizeof call.label);
    memcpy(call.id, key.id.at, key.id.len);
    call.id_len = (uint32_t)key.id.len;
    assert_int_equal(hsm_pool_call(signer.hsm, rq, &call, &answer), OK);
    hsm_key_close(&key);
    free(uri);
    free(spki);
    assert_true(answer.status == HSM_OK || answer.status == HSM_NO_KEY);
    return answer.status == HSM_OK;
}

static void
the_key_is_gone_for_good_and_that_is_on_record_once(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    bool destroyed;

    assert_int_equal(get(rq, PHONES), OK);
    assert_int_equal(get(rq, "routers"), OK);
    assert_true(is_on_token(rq, "scep:" PHONES));
    assert_int_equal(destroy(rq, PHONES, &destroyed), OK);
    assert_true(destroyed);
    assert_false(is_on_token(rq, "scep:" PHONES));
    assert_true(is_on_token(rq, "scep:routers"));
    assert_int_equal(ask_number("SELECT count(*) FROM ca.scep_ra_certificate WHERE profile = '" PHONES "'"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.scep_ra_certificate WHERE profile = 'routers'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.service_key WHERE name = 'scep:" PHONES "' AND destroyed_at IS NOT NULL AND evidence <> ''"),
                     1);
    assert_int_equal(ask_number(ANNOUNCED " AND position('destroyed'::bytea IN body) > 0 AND position('olga'::bytea IN body) > 0"), 1);
    assert_int_equal(destroy(rq, PHONES, &destroyed), OK);
    assert_false(destroyed);
    assert_int_equal(ask_number(ANNOUNCED), 1);
    restart_signer();
    assert_int_equal(get(rq, PHONES), ERR_NOT_FOUND);
    failure_clear(rq);
    assert_int_equal(get(rq, "routers"), OK);
}

static void
who_dies_before_it_is_on_record_does_it_again(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    bool destroyed;

    assert_int_equal(get(rq, "half"), OK);
    postgres_kit_run(postgres, "UPDATE ca.service_key SET retired_at = now() WHERE name = 'scep:half'"); /* and no further */
    restart_signer();
    assert_int_equal(get(rq, "half"), ERR_NOT_FOUND);
    failure_clear(rq);
    assert_int_equal(destroy(rq, "half", &destroyed), OK);
    assert_true(destroyed);
    assert_false(is_on_token(rq, "scep:half"));
    postgres_kit_run(postgres, "UPDATE ca.service_key SET destroyed_at = NULL WHERE name = 'scep:half'"); /* gone, and not written down */
    assert_int_equal(destroy(rq, "half", &destroyed), OK);
    assert_true(destroyed);
}

static void
one_that_was_never_made_never_will_be_and_one_that_is_being_made_is_waited_for(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    bool destroyed;

    assert_int_equal(destroy(rq, "never", &destroyed), OK);
    assert_false(destroyed);
    assert_int_equal(get(rq, "never"), ERR_NOT_FOUND);
    failure_clear(rq);
    postgres_kit_run(postgres, "INSERT INTO ca.service_key (name, key_uri) VALUES ('scep:now', 'pkcs11:token=signet;object=now;id=%07')");
    assert_int_equal(destroy(rq, "now", &destroyed), ERR_UNAVAILABLE);
    failure_clear(rq);
    postgres_kit_run(postgres, "UPDATE ca.service_key SET begun_at = now() - interval '1 day' WHERE name = 'scep:now'");
    assert_int_equal(destroy(rq, "now", &destroyed), OK);
    assert_true(destroyed);
}

static void
what_is_no_ra_is_not_destroyed(void **state)
{
    static const char *const names[] = {"", "a/b", "phones.", "phones.0123456789ABCDEF", "phones.0123456789abcdef0", "issuing:root"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        bool destroyed;
        assert_int_equal(destroy(rq, names[i], &destroyed), ERR_BAD_REQUEST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_gone_for_good_and_that_is_on_record_once),
        cmocka_unit_test(who_dies_before_it_is_on_record_does_it_again),
        cmocka_unit_test(one_that_was_never_made_never_will_be_and_one_that_is_being_made_is_waited_for),
        cmocka_unit_test(what_is_no_ra_is_not_destroyed),
    };
    return cmocka_run_group_tests(tests, start, stop_house);
}
