/* SignScepReply: messages that OpenSSL verifies with the RA certificate, with the attributes of RFC 8894 in them. */
#include "signer_fixture.h"

#include <openssl/cms.h>
#include <openssl/err.h>

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    return 0;
}

static Pb__SignScepReplyRequest
usual_request(Pb__ScepStatus status)
{
    Pb__SignScepReplyRequest request = PB__SIGN_SCEP_REPLY_REQUEST__INIT;

    request.profile = "phones";
    request.issuer = "root";
    request.transaction_id = "0A1B2C";
    request.status = status;
    request.fail_info = 2;
    request.recipient_nonce = message_data(BYTES("sixteen octets!!", 16));
    request.digest = PB__SCEP_DIGEST__SCEP_DIGEST_SHA256;
    if (status == PB__SCEP_STATUS__SCEP_STATUS_SUCCESS)
        request.content = message_data(BYTES("\x30\x03\x02\x01\x05", 5));
    return request;
}

/* OpenSSL's verdict and its view of the content and the attributes. */
static CMS_ContentInfo *
verified(struct request *rq, const Pb__SignScepReplyRequest *request, struct bytes *ret_content)
{
    Pb__SignScepReplyReply reply = PB__SIGN_SCEP_REPLY_REPLY__INIT;

    if (sign_scep_reply(&signer, rq, request, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    const uint8_t *at = reply.message.data;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)reply.message.len);
    assert_non_null(cms);
    BIO *out = BIO_new(BIO_s_mem());
    if (CMS_verify(cms, NULL, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1) {
        ERR_print_errors_fp(stderr);
        fail_msg("OpenSSL does not verify it");
    }
    char *content;
    long len = BIO_get_mem_data(out, &content);
    *ret_content = bytes_copy(rq->arena, BYTES(content, (size_t)len));
    BIO_free(out);
    return cms;
}

static const char *
attribute(struct request *rq, CMS_ContentInfo *cms, const char *oid)
{
    CMS_SignerInfo *info = sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0);
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int at = CMS_signed_get_attr_by_OBJ(info, object, -1);

    ASN1_OBJECT_free(object);
    if (at < 0)
        return NULL;
    ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(CMS_signed_get_attr(info, at), 0);
    const ASN1_STRING *text = value->value.asn1_string;
    return arena_text_n(rq->arena, (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static void
a_success_carries_its_content_and_its_attributes(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignScepReplyRequest request = usual_request(PB__SCEP_STATUS__SCEP_STATUS_SUCCESS);
    struct bytes content;
    CMS_ContentInfo *cms = verified(rq, &request, &content);

    assert_true(bytes_equal(content, message_bytes(request.content)));
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.2"), "3");
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.3"), "0");
    assert_null(attribute(rq, cms, "2.16.840.1.113733.1.9.4"));
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.6"), "sixteen octets!!");
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.7"), "0A1B2C");
    assert_non_null(attribute(rq, cms, "2.16.840.1.113733.1.9.5"));
    CMS_ContentInfo_free(cms);
}

static void
a_failure_says_why_and_pending_does_not(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignScepReplyRequest request = usual_request(PB__SCEP_STATUS__SCEP_STATUS_FAILURE);
    struct bytes content;
    CMS_ContentInfo *cms = verified(rq, &request, &content);

    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.3"), "2");
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.4"), "2");
    CMS_ContentInfo_free(cms);
    request = usual_request(PB__SCEP_STATUS__SCEP_STATUS_PENDING);
    cms = verified(rq, &request, &content);
    assert_string_equal(attribute(rq, cms, "2.16.840.1.113733.1.9.3"), "3");
    assert_null(attribute(rq, cms, "2.16.840.1.113733.1.9.4"));
    CMS_ContentInfo_free(cms);
}

/* strongSwan 5.9.8 insists on rsaEncryption, as old devices do. */
static void
every_digest_is_signed_as_rsa_encryption(void **state)
{
    static const struct {
        Pb__ScepDigest digest;
        int nid;
    } digests[] = {{PB__SCEP_DIGEST__SCEP_DIGEST_SHA1, NID_sha1},
                   {PB__SCEP_DIGEST__SCEP_DIGEST_SHA256, NID_sha256},
                   {PB__SCEP_DIGEST__SCEP_DIGEST_SHA384, NID_sha384},
                   {PB__SCEP_DIGEST__SCEP_DIGEST_SHA512, NID_sha512}};

    for (size_t i = 0; i < COUNT_OF(digests); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignScepReplyRequest request = usual_request(PB__SCEP_STATUS__SCEP_STATUS_SUCCESS);
        X509_ALGOR *digest, *signature;
        struct bytes content;
        request.digest = digests[i].digest;
        CMS_ContentInfo *cms = verified(rq, &request, &content);
        CMS_SignerInfo_get0_algs(sk_CMS_SignerInfo_value(CMS_get0_SignerInfos(cms), 0), NULL, NULL, &digest, &signature);
        assert_int_equal(OBJ_obj2nid(digest->algorithm), digests[i].nid);
        assert_int_equal(OBJ_obj2nid(signature->algorithm), NID_rsaEncryption);
        CMS_ContentInfo_free(cms);
    }
}

static void
refuses_what_no_reply_can_have(void **state)
{
    for (int i = 0; i < 8; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignScepReplyReply reply = PB__SIGN_SCEP_REPLY_REPLY__INIT;
        Pb__SignScepReplyRequest request = usual_request(i < 4 ? PB__SCEP_STATUS__SCEP_STATUS_SUCCESS : PB__SCEP_STATUS__SCEP_STATUS_FAILURE);
        if (i == 0)
            request.content.len = 0;
        if (i == 1)
            request.content = message_data(BYTES("\x30\x05\x02\x01\x05", 5));
        if (i == 2)
            request.transaction_id = "";
        if (i == 3)
            request.transaction_id = "line\nfeed";
        if (i == 4)
            request.fail_info = 5;
        if (i == 5)
            request.content = message_data(BYTES("\x30\x00", 2));
        if (i == 6)
            request.digest = PB__SCEP_DIGEST__SCEP_DIGEST_UNSPECIFIED;
        if (i == 7)
            request.status = (Pb__ScepStatus)2;
        assert_int_equal(sign_scep_reply(&signer, rq, &request, &reply), ERR_BAD_REQUEST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_success_carries_its_content_and_its_attributes),
        cmocka_unit_test(a_failure_says_why_and_pending_does_not),
        cmocka_unit_test(every_digest_is_signed_as_rsa_encryption),
        cmocka_unit_test(refuses_what_no_reply_can_have),
    };

    return cmocka_run_group_tests(tests, start, stop_house);
}
