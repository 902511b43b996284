/* The list of CAs: replaced while it is read, kept while the signer is away. */
#include "responder_fixture.h"

#include <pthread.h>

static const struct issuer *
match(struct fixture *fixture, struct request *rq, struct bytes issuer, const EVP_MD *digest)
{
    AUTO(OCSP_REQUEST, made) = OCSP_REQUEST_new();
    struct ocsp_request request;

    ask_about(made, issuer, BYTES("\x01", 1), digest);
    assert_ok(rq, ocsp_request_parse(rq, request_der(rq->arena, made), &request));
    return issuers_match(fixture->responder.issuers, rq, &request.ids[0]);
}

static void
knows_our_cas_by_both_hashes(void **state)
{
    struct fixture *fixture = *state;
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256()};

    for (size_t i = 0; i < COUNT_OF(digests); i++) {
        const struct issuer *root = match(fixture, fixture->rq, signer.root, digests[i]);
        const struct issuer *issuing = match(fixture, fixture->rq, signer.issuing, digests[i]);
        assert_string_equal(root->name, "root");
        assert_int_equal(root->sub_ca_count, 1);
        assert_string_equal(issuing->name, "issuing");
        assert_int_equal(issuing->sub_ca_count, 0);
    }
    assert_null(match(fixture, fixture->rq, signer.root, EVP_sha384()));
}

static void
same_name_with_another_key_is_another_ca(void **state)
{
    struct fixture *fixture = *state;
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct bytes stranger = kit_certificate(fixture->rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=Issuing", .is_ca = true});

    assert_null(match(fixture, fixture->rq, stranger, EVP_sha1()));
    signer.other = stranger;
    assert_int_equal(on_ca_created(&fixture->responder, fixture->rq, NULL, 0), OK);
    assert_string_equal(match(fixture, fixture->rq, stranger, EVP_sha1())->name, "other");
    assert_string_equal(match(fixture, fixture->rq, signer.issuing, EVP_sha1())->name, "issuing");
}

/* A CA is made, and heard of, while an older list is on its way. */
static void
make_other(void *context)
{
    struct fixture *fixture = context;
    AUTO_STRUCT(request, rq) = request_new();

    signer.other = signer.stranger;
    assert_int_equal(on_ca_created(&fixture->responder, rq, NULL, 0), OK);
}

static void
an_older_list_that_comes_late_replaces_no_newer_one(void **state)
{
    struct fixture *fixture = *state;
    AUTO(EVP_PKEY, key) = kit_key("p256");

    signer.stranger = kit_certificate(fixture->rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=Other", .is_ca = true});
    signer.while_listing = make_other;
    signer.while_listing_context = fixture;
    assert_int_equal(issuers_refresh(&fixture->responder, fixture->rq), OK);
    assert_string_equal(match(fixture, fixture->rq, signer.stranger, EVP_sha1())->name, "other");
    signer.other = BYTES_NONE;
    assert_int_equal(issuers_refresh(&fixture->responder, fixture->rq), OK);
    assert_null(match(fixture, fixture->rq, signer.stranger, EVP_sha1()));
}

static void
keeps_the_last_list_while_the_signer_is_away(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();

    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(issuers_refresh(&fixture->responder, rq), ERR_UNAVAILABLE);
    assert_non_null(match(fixture, fixture->rq, signer.issuing, EVP_sha1()));
    assert_int_equal(issuers_check(&fixture->responder, fixture->rq), OK);
}

static void
keeps_the_last_list_when_the_new_one_cannot_be_read(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(request, rq) = request_new();

    signer.other = BYTES("\x30\x01", 2);
    assert_int_equal(issuers_refresh(&fixture->responder, rq), ERR_BAD_REQUEST);
    assert_non_null(match(fixture, fixture->rq, signer.issuing, EVP_sha1()));
}

static void
is_not_ready_before_it_has_heard_from_the_signer(void **state)
{
    static struct responder fresh;
    AUTO_STRUCT(request, rq) = request_new();

    fresh.issuers = issuers_new();
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(issuers_check(&fresh, rq), ERR_UNAVAILABLE);
    signer.failing = OK;
    failure_clear(rq);
    assert_int_equal(issuers_check(&fresh, rq), OK);
    assert_int_equal(issuers_check(&fresh, rq), OK);
    assert_int_equal(signer.lists, 2); /* one for the fixture, one for the check */
}

static void *
refresh_again_and_again(void *context)
{
    for (int i = 0; i < 500; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        if (issuers_refresh(context, rq) != OK)
            return (void *)1;
    }
    return NULL;
}

/* What issuers_match has given stays what it was: sanitizers see a list that is read after it was freed. */
static void
is_replaced_while_it_is_read(void **state)
{
    struct fixture *fixture = *state;
    pthread_t refresher;
    void *failed;

    assert_int_equal(pthread_create(&refresher, NULL, refresh_again_and_again, &fixture->responder), 0);
    for (int i = 0; i < 500; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const struct issuer *root = match(fixture, rq, signer.root, EVP_sha1());
        assert_string_equal(root->name, "root");
        assert_int_equal(root->sub_ca_count, 1);
        assert_true(root->sub_cas[0].serial.len > 0 && root->sub_cas[0].serial.at[0] != 0);
    }
    pthread_join(refresher, &failed);
    assert_null(failed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(knows_our_cas_by_both_hashes),
        CASE(same_name_with_another_key_is_another_ca),
        CASE(an_older_list_that_comes_late_replaces_no_newer_one),
        CASE(keeps_the_last_list_while_the_signer_is_away),
        CASE(keeps_the_last_list_when_the_new_one_cannot_be_read),
        CASE(is_not_ready_before_it_has_heard_from_the_signer),
        CASE(is_replaced_while_it_is_read),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
