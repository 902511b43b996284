/* CRLs of makers: whose are taken, what replaces what, what is refused. */
#include "client_crl_fixture.h"

static const uint8_t seven[] = {7, 0};

static void
a_newer_crl_of_the_same_ca_replaces_the_old_one_and_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker makers[] = {new_maker(arena, "/CN=Maker", NULL), new_maker(arena, "/CN=Other Maker", "keyCertSign,cRLSign")};
    struct bytes first = new_crl(arena, &(struct wish){.maker = &makers[0], .number = 255, .age_s = HOUR_S});
    struct bytes second = new_crl(arena, &(struct wish){.maker = &makers[0], .number = 256, .revoked = seven});
    struct bytes other = new_crl(arena, &(struct wish){.maker = &makers[1]});
    Pb__StoreEstCrlReply reply;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", makers, 2), true, &created));
    assert_ok(fixture->rq, store_crl(fixture, "phones", first, &reply));
    assert_true(reply.changed);
    assert_string_equal(reply.crl->issuer, "CN=Maker");
    assert_string_equal(reply.crl->number, "ff");
    assert_non_null(strstr(announced, "est client crl phones stored by olga"));
    assert_ok(fixture->rq, store_crl(fixture, "phones", first, &reply));
    assert_false(reply.changed);
    assert_row("SELECT count(*) FROM est.outbox", "2");
    assert_ok(fixture->rq, store_crl(fixture, "phones", other, &reply));
    assert_string_equal(reply.crl->number, "");
    assert_ok(fixture->rq, store_crl(fixture, "phones", second, &reply));
    assert_true(reply.changed);
    assert_row("SELECT string_agg(issuer || ' ' || encode(number, 'hex') || ' ' || entries, ', ' ORDER BY issuer) FROM est.client_crl",
               "CN=Maker 0100 1, CN=Other Maker  0");
    assert_int_equal(store_crl(fixture, "phones", first, &reply), ERR_CONFLICT);
    assert_non_null(strstr(fixture->rq->failure.message, "number 0100"));
    EVP_PKEY_free(makers[0].key);
    EVP_PKEY_free(makers[1].key);
}

/* A number that is greater and a time that is earlier, or the other way round, is a CA that was restored from a copy. */
static void
older_in_number_or_in_time_is_older(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker maker = new_maker(arena, "/CN=Maker", NULL);
    Pb__StoreEstCrlReply reply;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", &maker, 1), true, &created));
    assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 9, .age_s = HOUR_S}), &reply));
    assert_int_equal(store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 8}), &reply), ERR_CONFLICT);
    assert_int_equal(store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 10, .age_s = 2 * HOUR_S}), &reply),
                     ERR_CONFLICT);
    failure_clear(fixture->rq);
    assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 10}), &reply));
    EVP_PKEY_free(maker.key);
}

static void
refuses_what_proves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker makers[] = {new_maker(arena, "/CN=Maker", NULL), new_maker(arena, "/CN=Signs no CRLs", "keyCertSign")};
    const struct maker stranger = new_maker(arena, "/CN=Maker", NULL), nobody = new_maker(arena, "/CN=Nobody", NULL);
    uint8_t *too_large = arena_alloc(arena, CLIENT_CRL_PART_MAX + 1);
    const struct {
        struct bytes der;
        const char *says;
    } cases[] = {
        {new_crl(arena, &(struct wish){.maker = &stranger}), "signed by none"},
        {new_crl(arena, &(struct wish){.maker = &nobody}), "signed by none"},
        {new_crl(arena, &(struct wish){.maker = &makers[1]}), "signed by none"},
        {new_crl(arena, &(struct wish){.maker = &makers[0], .digest = EVP_sha1()}), "digest"},
        {new_crl(arena, &(struct wish){.maker = &makers[0], .age_s = -HOUR_S}), "not valid yet"},
        {new_crl(arena, &(struct wish){.maker = &makers[0], .critical = "critical,onlyuser:TRUE"}), "critical extension"},
        {BYTES("0\0", 2), "not a DER CRL"},
        {BYTES(too_large, CLIENT_CRL_PART_MAX + 1), "octets"},
        {BYTES_NONE, "octets"},
    };
    Pb__StoreEstCrlReply reply;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", makers, 2), true, &created));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(store_crl(fixture, "phones", cases[i].der, &reply), ERR_BAD_REQUEST);
        if (strstr(fixture->rq->failure.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, fixture->rq->failure.message);
        failure_clear(fixture->rq);
    }
    assert_int_equal(store_crl(fixture, "routers", new_crl(arena, &(struct wish){.maker = &makers[0]}), &reply), ERR_NOT_FOUND);
    assert_row("SELECT count(*) FROM est.client_crl", "0");
    EVP_PKEY_free(makers[0].key);
    EVP_PKEY_free(makers[1].key);
    EVP_PKEY_free(stranger.key);
    EVP_PKEY_free(nobody.key);
}

/* Else whoever watches when CRLs end would be told of one that nobody asks for. */
static void
a_crl_goes_with_its_anchor(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker makers[] = {new_maker(arena, "/CN=Maker", NULL), new_maker(arena, "/CN=Other Maker", NULL)};
    Pb__StoreEstCrlReply reply;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", makers, 2), true, &created));
    for (size_t i = 0; i < 2; i++)
        assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &makers[i]}), &reply));
    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", makers, 2), false, &created));
    assert_row("SELECT count(*) FROM est.client_crl", "2");
    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", makers + 1, 1), false, &created));
    assert_row("SELECT string_agg(issuer, ' ') FROM est.client_crl", "CN=Other Maker");
    assert_ok(fixture->rq, store(fixture, good_profile(arena, "phones"), false, &created));
    assert_row("SELECT count(*) FROM est.client_crl", "0");
    EVP_PKEY_free(makers[0].key);
    EVP_PKEY_free(makers[1].key);
}

static enum error
send_part(struct fixture *fixture, struct bytes octets, const char *upload, uint32_t part, bool last, Pb__StoreEstCrlReply *ret_reply)
{
    Pb__StoreEstCrlRequest request = PB__STORE_EST_CRL_REQUEST__INIT;

    pb__store_est_crl_reply__init(ret_reply);
    failure_clear(fixture->rq);
    request.profile = "phones";
    request.crl = message_data(octets);
    request.upload = upload;
    request.part = part;
    request.last = last;
    return store_est_crl(&fixture->est, fixture->rq, &request, ret_reply);
}

static void
parts_become_one_when_all_are_there_and_are_forgotten(void **state)
{
    static const char upload[] = "00112233445566778899aabbccddeeff", other[] = "ffeeddccbbaa99887766554433221100";
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker maker = new_maker(arena, "/CN=Maker", NULL);
    struct bytes crl = new_crl(arena, &(struct wish){.maker = &maker, .revoked = seven});
    struct bytes parts[] = {BYTES(crl.at, 50), BYTES(crl.at + 50, 50), BYTES(crl.at + 100, crl.len - 100)};
    Pb__StoreEstCrlReply reply;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", &maker, 1), true, &created));
    assert_ok(fixture->rq, send_part(fixture, parts[0], upload, 0, false, &reply));
    assert_null(reply.crl);
    assert_ok(fixture->rq, send_part(fixture, parts[0], other, 0, false, &reply));
    assert_int_equal(send_part(fixture, parts[2], upload, 2, true, &reply), ERR_BAD_REQUEST); /* one is missing */
    assert_ok(fixture->rq, send_part(fixture, parts[1], upload, 1, false, &reply));
    assert_ok(fixture->rq, send_part(fixture, parts[1], upload, 1, false, &reply)); /* repeated */
    assert_ok(fixture->rq, send_part(fixture, parts[2], upload, 2, true, &reply));
    assert_int_equal(reply.crl->entries, 1);
    assert_row("SELECT count(*) FROM est.client_crl_part", "1");
    postgres_kit_run(postgres, "UPDATE est.client_crl_part SET came_at = now() - interval '2 hours'");
    assert_ok(fixture->rq, send_part(fixture, parts[0], upload, 0, false, &reply));
    assert_row("SELECT string_agg(upload, ' ') FROM est.client_crl_part", upload);
    assert_int_equal(send_part(fixture, parts[0], "short", 0, false, &reply), ERR_BAD_REQUEST);
    assert_int_equal(send_part(fixture, parts[0], upload, 1000, false, &reply), ERR_BAD_REQUEST);
    EVP_PKEY_free(maker.key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_newer_crl_of_the_same_ca_replaces_the_old_one_and_no_other),
        CASE(older_in_number_or_in_time_is_older),
        CASE(refuses_what_proves_nothing),
        CASE(a_crl_goes_with_its_anchor),
        CASE(parts_become_one_when_all_are_there_and_are_forgotten),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
