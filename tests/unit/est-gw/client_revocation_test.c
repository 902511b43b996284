/* Who is let in by what the CRLs say of the path from the device to the anchor, and by what they do not say. */
#include "client_crl_fixture.h"

enum { NONE = 1, WHEN_KNOWN, REQUIRED };

static X509 *
read_certificate(struct bytes der)
{
    const unsigned char *at = der.at;
    X509 *read = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(read);
    return read;
}

static X509 *
issue(struct arena *arena, const struct maker *by, EVP_PKEY *key, const char *subject, uint8_t serial, bool is_ca)
{
    X509 *made = read_certificate(kit_certificate(
        arena, &(struct kit_certificate){.key = key, .subject = subject, .issuer_der = by->certificate, .issuer_key = by->key, .is_ca = is_ca}));

    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(made), serial));
    return made;
}

/* device 7 of the factory, CA 3 of the maker, who is the anchor */
struct chain {
    struct maker maker, factory;
    STACK_OF(X509) * path;
};

static struct chain
new_chain(struct arena *arena)
{
    struct chain chain = {.maker = new_maker(arena, "/CN=Maker", NULL), .factory = new_maker(arena, "/CN=Factory", NULL), .path = sk_X509_new_null()};

    assert_true(sk_X509_push(chain.path, issue(arena, &chain.factory, chain.factory.key, "/CN=SN7", 7, false)));
    assert_true(sk_X509_push(chain.path, issue(arena, &chain.maker, chain.factory.key, "/CN=Factory", 3, true)));
    assert_true(sk_X509_push(chain.path, read_certificate(chain.maker.certificate)));
    return chain;
}

static void
free_chain(struct chain *chain)
{
    sk_X509_pop_free(chain->path, X509_free);
    EVP_PKEY_free(chain->maker.key);
    EVP_PKEY_free(chain->factory.key);
}

static enum error
ask(struct fixture *fixture, const struct chain *chain, int revocation, bool is_ours)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct profile profile = {.settings = good_profile(rq->arena, "phones")};

    ((Pb__EstProfile *)profile.settings)->client_revocation = (Pb__EstClientRevocation)revocation;
    return client_revocation_check(&fixture->est, rq, &profile, chain->path, is_ours);
}

static void
must_have(struct fixture *fixture, const struct wish *wish)
{
    Pb__StoreEstCrlReply reply;

    assert_ok(fixture->rq, store_crl(fixture, "phones", new_crl(fixture->rq->arena, wish), &reply));
}

static void
a_list_is_wanted_of_each_issuer_where_it_is_required(void **state)
{
    struct fixture *fixture = *state;
    struct chain chain = new_chain(fixture->rq->arena);
    const struct maker both[] = {chain.maker, chain.factory};
    bool created;

    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAVAILABLE); /* nothing was read yet */
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), ERR_UNAVAILABLE);
    assert_int_equal(ask(fixture, &chain, NONE, false), OK);
    assert_ok(fixture->rq, store(fixture, profile_trusting(fixture->rq->arena, "phones", both, 2), true, &created));
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAUTHENTICATED);
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), OK);
    must_have(fixture, &(struct wish){.maker = &chain.factory});
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAUTHENTICATED);
    must_have(fixture, &(struct wish){.maker = &chain.maker});
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), OK);
    free_chain(&chain);
}

static void
what_is_listed_anywhere_in_the_path_is_refused(void **state)
{
    static const uint8_t device[] = {200, 7, 1, 0}, authority[] = {3, 0};
    struct fixture *fixture = *state;
    struct chain chain = new_chain(fixture->rq->arena);
    const struct maker both[] = {chain.maker, chain.factory};
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(fixture->rq->arena, "phones", both, 2), true, &created));
    must_have(fixture, &(struct wish){.maker = &chain.maker, .revoked = device}); /* numbers of others' */
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), OK);
    must_have(fixture, &(struct wish){.maker = &chain.factory, .revoked = device});
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), ERR_UNAUTHENTICATED);
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAUTHENTICATED);
    assert_int_equal(ask(fixture, &chain, NONE, false), OK);
    assert_int_equal(ask(fixture, &chain, REQUIRED, true), OK); /* what we issued is looked up elsewhere */
    must_have(fixture, &(struct wish){.maker = &chain.maker, .revoked = authority, .number = 2});
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, true), ERR_UNAUTHENTICATED);
    free_chain(&chain);
}

static void
a_list_that_has_ended_or_of_another_key_still_refuses_but_clears_nobody(void **state)
{
    static const uint8_t device[] = {7, 0};
    struct fixture *fixture = *state;
    struct chain chain = new_chain(fixture->rq->arena);
    struct maker rekeyed = new_maker(fixture->rq->arena, "/CN=Factory", NULL);
    const struct maker all[] = {chain.maker, chain.factory, rekeyed};
    bool created;

    assert_ok(fixture->rq, store(fixture, profile_trusting(fixture->rq->arena, "phones", all, 3), true, &created));
    must_have(fixture, &(struct wish){.maker = &chain.maker});
    must_have(fixture, &(struct wish){.maker = &rekeyed});
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAUTHENTICATED);
    must_have(fixture, &(struct wish){.maker = &chain.factory, .age_s = 2 * HOUR_S, .life_s = HOUR_S});
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), ERR_UNAUTHENTICATED);
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), OK);
    must_have(fixture, &(struct wish){.maker = &chain.factory, .age_s = 2 * HOUR_S - 1, .life_s = HOUR_S, .revoked = device});
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), ERR_UNAUTHENTICATED);
    must_have(fixture, &(struct wish){.maker = &chain.factory});
    assert_int_equal(ask(fixture, &chain, REQUIRED, false), OK);
    must_have(fixture, &(struct wish){.maker = &rekeyed, .number = 1, .revoked = device});
    assert_int_equal(ask(fixture, &chain, WHEN_KNOWN, false), ERR_UNAUTHENTICATED);
    EVP_PKEY_free(rekeyed.key);
    free_chain(&chain);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_list_is_wanted_of_each_issuer_where_it_is_required),
        CASE(what_is_listed_anywhere_in_the_path_is_refused),
        CASE(a_list_that_has_ended_or_of_another_key_still_refuses_but_clears_nobody),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
