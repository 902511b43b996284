/* The CRLs of one profile go; afterwards an older one is taken again. */
#include "client_crl_fixture.h"

static enum error
delete_crls(struct fixture *fixture, const char *profile, unsigned *ret_deleted)
{
    Pb__DeleteEstCrlsRequest request = PB__DELETE_EST_CRLS_REQUEST__INIT;
    Pb__DeleteEstCrlsReply reply = PB__DELETE_EST_CRLS_REPLY__INIT;

    request.profile = profile;
    request.operator_ = "olga";
    enum error error = delete_est_crls(&fixture->est, fixture->rq, &request, &reply);
    *ret_deleted = reply.deleted;
    return error;
}

static void
those_of_the_named_profile_go(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const struct maker maker = new_maker(arena, "/CN=Maker", NULL);
    Pb__StoreEstCrlReply reply;
    unsigned deleted;
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "phones", &maker, 1), true, &created));
    assert_ok(fixture->rq, store(fixture, profile_trusting(arena, "routers", &maker, 1), true, &created));
    assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 9}), &reply));
    assert_ok(fixture->rq, store_crl(fixture, "routers", new_crl(arena, &(struct wish){.maker = &maker, .number = 9}), &reply));
    assert_ok(fixture->rq, delete_crls(fixture, "phones", &deleted));
    assert_int_equal(deleted, 1);
    assert_string_equal(announced, "est client crl phones deleted by olga as : 1");
    assert_row("SELECT string_agg(profile, ' ') FROM est.client_crl", "routers");
    assert_ok(fixture->rq, delete_crls(fixture, "phones", &deleted));
    assert_int_equal(deleted, 0);
    assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(arena, &(struct wish){.maker = &maker, .number = 1}), &reply));
    assert_int_equal(delete_crls(fixture, "nobody", &deleted), ERR_NOT_FOUND);
    EVP_PKEY_free(maker.key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(those_of_the_named_profile_go)};
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
