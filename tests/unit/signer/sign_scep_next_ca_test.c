/* SignScepNextCa: OpenSSL verifies it with the CA in force, and finds the certificates of the next one inside. */
#include "signer_fixture.h"

#include <openssl/cms.h>
#include <openssl/err.h>

static void
succeed(struct request *rq, const char *name, const char *successor)
{
    Pb__NameSuccessorRequest request = PB__NAME_SUCCESSOR_REQUEST__INIT;
    Pb__NameSuccessorReply reply = PB__NAME_SUCCESSOR_REPLY__INIT;

    request.name = name;
    request.successor = successor;
    assert_int_equal(name_successor(&signer, rq, &request, &reply), OK);
}

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    make_ca(rq, "old", "p384", "root");
    make_ca(rq, "old-rsa", "rsa-2048", "root");
    make_ca(rq, "new", "p256", "root");
    succeed(rq, "old", "new");
    succeed(rq, "old-rsa", "new");
    return 0;
}

static Pb__SignScepNextCaRequest
usual_request(const char *issuer)
{
    Pb__SignScepNextCaRequest request = PB__SIGN_SCEP_NEXT_CA_REQUEST__INIT;

    request.profile = "phones";
    request.issuer = issuer;
    return request;
}

static Pb__GetScepRaReply
ra_of(struct request *rq, const char *issuer)
{
    Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
    Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;

    request.profile = "phones";
    request.issuer = issuer;
    if (get_scep_ra(&signer, rq, &request, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return reply;
}

static CMS_ContentInfo *
cms_of(struct bytes der)
{
    const uint8_t *at = der.at;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)der.len);

    assert_non_null(cms);
    assert_ptr_equal(at, der.at + der.len);
    return cms;
}

/* The certificates inside, after OpenSSL verified the signature with the certificate `by` and no other. */
static STACK_OF(X509) * verified(struct request *rq, const Pb__SignScepNextCaRequest *request, struct bytes by)
{
    Pb__SignScepNextCaReply reply = PB__SIGN_SCEP_NEXT_CA_REPLY__INIT;
    X509 *signed_by = x509_of(by);
    STACK_OF(X509) *signers = sk_X509_new_null();
    BIO *out = BIO_new(BIO_s_mem());
    char *content;

    if (sign_scep_next_ca(&signer, rq, request, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    CMS_ContentInfo *cms = cms_of(message_bytes(reply.message));
    assert_true(sk_X509_push(signers, signed_by) > 0);
    if (CMS_verify(cms, signers, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY) != 1) {
        ERR_print_errors_fp(stderr);
        fail_msg("OpenSSL does not verify it");
    }
    long len = BIO_get_mem_data(out, &content);
    CMS_ContentInfo *inside = cms_of(BYTES(content, (size_t)len));
    assert_int_equal(sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(inside)), 0);
    STACK_OF(X509) *found = CMS_get1_certs(inside);
    CMS_ContentInfo_free(inside);
    CMS_ContentInfo_free(cms);
    BIO_free(out);
    sk_X509_free(signers);
    X509_free(signed_by);
    return found;
}

static bool
is_at(STACK_OF(X509) * found, int at, struct bytes der)
{
    X509 *wanted = x509_of(der);
    bool same = X509_cmp(sk_X509_value(found, at), wanted) == 0;

    X509_free(wanted);
    return same;
}

static void
the_ca_in_force_signs_what_comes_after_it(void **state)
{
    static const char *const issuers[] = {"old", "old-rsa"};

    for (size_t i = 0; i < COUNT_OF(issuers); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignScepNextCaRequest request = usual_request(issuers[i]);
        Pb__GetScepRaReply now = ra_of(rq, issuers[i]), next = ra_of(rq, "new");
        STACK_OF(X509) *found = verified(rq, &request, message_bytes(now.chain[0]));
        assert_int_equal(sk_X509_num(found), 3);
        assert_true(is_at(found, 0, message_bytes(next.certificate)));
        assert_true(is_at(found, 1, message_bytes(next.chain[0])));
        assert_true(is_at(found, 2, message_bytes(next.chain[1])));
        sk_X509_pop_free(found, X509_free);
        assert_string_equal(now.successor, "new");
        assert_string_equal(next.successor, "");
    }
}

static void
the_set_is_as_small_as_the_profile_wants(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignScepNextCaRequest request = usual_request("old");
    struct bytes by = message_bytes(ra_of(rq, "old").chain[0]);

    request.strip_root = true;
    STACK_OF(X509) *found = verified(rq, &request, by);
    assert_int_equal(sk_X509_num(found), 2);
    sk_X509_pop_free(found, X509_free);
    request.only_ra = true;
    found = verified(rq, &request, by);
    assert_int_equal(sk_X509_num(found), 1);
    assert_true(is_at(found, 0, message_bytes(ra_of(rq, "new").certificate)));
    sk_X509_pop_free(found, X509_free);
}

/* Envelopes for the old certificate still open after the change. */
static void
the_ra_keeps_its_key(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    X509 *old = x509_of(message_bytes(ra_of(rq, "old").certificate)), *new = x509_of(message_bytes(ra_of(rq, "new").certificate));

    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(old), X509_get0_pubkey(new)), 1);
    assert_int_not_equal(X509_NAME_cmp(X509_get_issuer_name(old), X509_get_issuer_name(new)), 0);
    X509_free(old);
    X509_free(new);
}

static void
the_successor_knows_whom_it_has_succeeded(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__GetScepRaReply next = ra_of(rq, "new");

    assert_int_equal(next.n_predecessors, 2);
    assert_true(text_equal(next.predecessors[0]->name, "old") || text_equal(next.predecessors[1]->name, "old"));
    assert_int_equal(ra_of(rq, "old").n_predecessors, 0);
    make_ca(rq, "newest", "p256", "root");
    succeed(rq, "new", "newest");
    assert_int_equal(ra_of(rq, "newest").n_predecessors, 3);
    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = now(), reason = 2 WHERE name = 'old'");
    assert_int_equal(ra_of(rq, "newest").n_predecessors, 2);
    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = NULL, reason = NULL WHERE name = 'old'");
    succeed(rq, "new", "");
}

static void
a_ca_without_successor_has_no_answer(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignScepNextCaRequest request = usual_request("new");
    Pb__SignScepNextCaReply reply = PB__SIGN_SCEP_NEXT_CA_REPLY__INIT;

    assert_int_equal(sign_scep_next_ca(&signer, rq, &request, &reply), ERR_NOT_FOUND);
    assert_non_null(strstr(rq->failure.message, "no successor"));
    request = usual_request("old");
    request.profile = "no profile";
    failure_clear(rq);
    assert_int_equal(sign_scep_next_ca(&signer, rq, &request, &reply), ERR_BAD_REQUEST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ca_in_force_signs_what_comes_after_it),
        cmocka_unit_test(the_set_is_as_small_as_the_profile_wants),
        cmocka_unit_test(the_ra_keeps_its_key),
        cmocka_unit_test(the_successor_knows_whom_it_has_succeeded),
        cmocka_unit_test(a_ca_without_successor_has_no_answer),
    };

    return cmocka_run_group_tests(tests, start, stop_house);
}
