/* What travels: base64 in every layout that devices send, and what we send, read back by OpenSSL. */
#include "est_fixture.h"

#include <openssl/cms.h>

#include "base/base64.h"
#include "kit/pki_kit.h"

static const uint8_t der[] = {0x30, 0x05, 0x02, 0x03, 0x01, 0x00, 0x01};

static void
decodes_every_layout(void **state)
{
    static const char *const bodies[] = {
        "MAUCAwEAAQ==",
        "MAUCAwEAAQ",
        "  MAUC\r\nAwEA\r\nAQ==\r\n",
        "M\nA\nU\nC\nA\nw\nE\nA\nA\nQ\n=\n=\n",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAUCAwEAAQ==\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN NEW CERTIFICATE REQUEST-----\r\nMAUCAwEAAQ==\r\n-----END NEW CERTIFICATE REQUEST-----",
        "text before\n-----BEGIN CMS-----\nMAUCAwEAAQ==\n-----END CMS-----\ntext after",
    };

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes found;
        assert_ok(rq, body_decode(rq, bytes_of_text(bodies[i]), &found));
        assert_true(bytes_equal(found, BYTES(der, sizeof der)));
    }
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes found;
    assert_ok(rq, body_decode(rq, BYTES(der, sizeof der), &found));
    assert_int_equal(found.len, sizeof der);
}

static void
refuses_what_is_not_one_der_sequence(void **state)
{
    static const char *const bodies[] = {
        "",
        "MAUCAwEAAQ==x",
        "MAUCAwEAAQEB",
        "MAUCAwEA",
        "M",
        "{\"csr\": 1}",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAUCAwEAAQ==\n",
        "-----BEGIN ",
        "-----BEGIN X\nMAUCAwEAAQ==\n-----END X-----\n",
        "-----BEGIN X-----\n*\n-----END X-----",
        "0\x05",
        "BAA=",
        "-----BEGIN X-----\n0AA=\n-----END X-----",
    };

    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes found = BYTES_NONE;
        assert_int_equal(body_decode(rq, bytes_of_text(bodies[i]), &found), ERR_BAD_REQUEST);
        assert_null(found.at);
    }
}

static void
encodes_in_lines_of_64_columns(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    uint8_t octets[200] = {1};
    const char *text = body_encode(arena, BYTES(octets, sizeof octets));
    struct bytes again;

    for (const char *at = text, *end; *at != '\0'; at = end + 1) {
        end = strchr(at, '\n');
        assert_non_null(end);
        assert_true(end - at <= 64);
    }
    assert_true(base64_decode(arena, bytes_of_text(text), &again));
    assert_true(bytes_equal(again, BYTES(octets, sizeof octets)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_every_layout),
        cmocka_unit_test(refuses_what_is_not_one_der_sequence),
        cmocka_unit_test(encodes_in_lines_of_64_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
