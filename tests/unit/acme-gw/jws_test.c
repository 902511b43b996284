/* JWS: what is accepted, and each thing that is refused, next to each other. */
#include "unit/kit.h"

#include <openssl/err.h>

#include "acme.h"
#include "jose_kit.h"

#define URL "https://acme.example/acme/new-order"
#define KID "https://acme.example/acme/account/AAAAAAAAAAAAAAAAAAAAAA"

static const char good_header[] = "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}";

/* ---- shape ---- */

static const struct shape {
    const char *name;
    const char *header;
    const char *body; /* NULL: made around the header; %H, %S stand for header and signature */
    const char *type; /* NULL: accepted */
} shapes[] = {
    {"accepts_a_header_with_kid", good_header, NULL, NULL},
    {"accepts_a_header_with_jwk", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"jwk\":{}}", NULL, NULL},
    {"accepts_members_that_it_does_not_know", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\",\"typ\":\"x\"}", NULL,
     NULL},
    {"accepts_a_header_without_nonce_which_nonce_redeem_refuses", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, NULL},
    {"rejects_kid_and_jwk_together", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\",\"jwk\":{}}", NULL, "malformed"},
    {"rejects_neither_kid_nor_jwk", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\"}", NULL, "malformed"},
    {"rejects_a_kid_that_is_no_text", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":7}", NULL, "malformed"},
    {"rejects_a_missing_url", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"kid\":\"" KID "\"}", NULL, "malformed"},
    {"rejects_a_missing_algorithm", "{\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, "malformed"},
    {"rejects_algorithm_none", "{\"alg\":\"none\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, "badSignatureAlgorithm"},
    {"rejects_hs256", "{\"alg\":\"HS256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, "badSignatureAlgorithm"},
    {"rejects_es256k", "{\"alg\":\"ES256K\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, "badSignatureAlgorithm"},
    {"rejects_an_algorithm_in_lower_case", "{\"alg\":\"es256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL,
     "badSignatureAlgorithm"},
    {"rejects_crit", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\",\"crit\":[\"exp\"]}", NULL, "malformed"},
    {"rejects_b64", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\",\"b64\":false}", NULL, "malformed"},
    {"rejects_a_duplicate_member_in_the_header", "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}",
     NULL, "malformed"},
    {"accepts_a_header_in_any_order_with_blanks_between", "{ \"kid\" : \"" KID "\",\n\"url\":\"" URL "\",\"alg\":\"ES256\" ,\"nonce\":\"nnnn\"}",
     NULL, NULL},
    {"accepts_escapes_in_the_header", "{\"\\u0061lg\":\"ES\\u003256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, NULL},
    {"rejects_a_member_of_the_header_that_is_there_twice_under_escapes",
     "{\"alg\":\"ES256\",\"\\u0061lg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", NULL, "malformed"},
    {"rejects_a_header_with_a_comma_too_many", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\",}", NULL, "malformed"},
    {"rejects_something_after_the_header", "{\"alg\":\"ES256\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}x", NULL, "malformed"},
    {"rejects_a_header_that_is_an_array", "[]", NULL, "malformed"},
    {"rejects_a_header_that_is_no_json", "alg: ES256", NULL, "malformed"},
    {"accepts_the_same_in_a_body_by_hand", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\"}", NULL},
    {"accepts_members_in_any_order_with_blanks_between", good_header,
     "\r\n { \"signature\" : \"%S\",\n\t\"payload\":\"e30\" , \"protected\":\"%H\" } \n", NULL},
    {"accepts_a_body_with_other_members", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\",\"more\":[{}]}", NULL},
    {"accepts_escapes", good_header, "{\"protected\":\"%H\",\"p\\u0061yload\":\"\\u00653\\u0030\",\"signature\":\"%S\"}", NULL},
    {"rejects_a_member_that_is_there_twice_under_escapes", good_header,
     "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\",\"p\\u0061yload\":\"e30\"}", "malformed"},
    {"rejects_a_tabulator_in_a_text", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\t\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_a_text_without_end", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S", "malformed"},
    {"rejects_a_comma_too_many", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\",}", "malformed"},
    {"rejects_a_comma_too_few", good_header, "{\"protected\":\"%H\" \"payload\":\"e30\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_another_letter_beyond_ascii", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\xff\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_an_unprotected_header", good_header, "{\"header\":{},\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_general_form", good_header, "{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"%H\",\"signature\":\"%S\"}]}", "malformed"},
    {"rejects_a_second_signature_beside_the_first", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\",\"signatures\":[]}",
     "malformed"},
    {"rejects_a_duplicate_member_in_the_body", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"payload\":\"e30\",\"signature\":\"%S\"}",
     "malformed"},
    {"rejects_a_missing_payload", good_header, "{\"protected\":\"%H\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_a_missing_signature", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\"}", "malformed"},
    {"rejects_a_signature_that_is_no_text", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":1}", "malformed"},
    {"rejects_padding", good_header, "{\"protected\":\"%H\",\"payload\":\"e30=\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_the_standard_alphabet", good_header, "{\"protected\":\"%H\",\"payload\":\"+/+/\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_white_space_in_base64url", good_header, "{\"protected\":\"%H\",\"payload\":\"e3 0\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_unused_bits_that_are_set", good_header, "{\"protected\":\"%H\",\"payload\":\"e31\",\"signature\":\"%S\"}", "malformed"},
    {"rejects_something_after_the_object", good_header, "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\"} x", "malformed"},
    {"rejects_compact_form", good_header, "%H.e30.%S", "malformed"},
    {"rejects_an_empty_body", good_header, "", "malformed"},
    {"rejects_an_array", good_header, "[]", "malformed"},
};

static const char *
fill_in(struct arena *arena, const char *pattern, const char *header)
{
    struct buffer out = buffer_in(arena);

    for (; *pattern != '\0'; pattern++) {
        if (pattern[0] != '%') {
            buffer_append(&out, pattern, 1);
            continue;
        }
        pattern++;
        buffer_append_text(&out, *pattern == 'H' ? jose_b64(arena, header) : "c2lnbmF0dXJl");
    }
    return buffer_text(&out);
}

static void
checks_shape(void **state)
{
    const struct shape *shape = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct jws jws;

    const char *body =
        fill_in(rq->arena, shape->body != NULL ? shape->body : "{\"protected\":\"%H\",\"payload\":\"e30\",\"signature\":\"%S\"}", shape->header);
    enum error error = jws_parse(rq, bytes_of_text(body), &jws);
    if (shape->type == NULL) {
        assert_int_equal(error, OK);
        assert_string_equal(jws.url, URL);
        assert_true(bytes_equal(jws.payload, bytes_of_text("{}")));
        return;
    }
    assert_int_equal(error, ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, shape->type);
}

/* ---- signatures ---- */

enum change { UNCHANGED, PAYLOAD_CHANGED, SIGNATURE_CHANGED, SIGNATURE_CUT, SIGNATURE_LONGER, SIGNATURE_OF_OTHER_KEY, SIGNATURE_ZERO };

static const struct signing {
    const char *name;
    const char *alg;
    const char *key;
    const char *signed_as; /* NULL: as alg says */
    enum change change;
    bool accepted;
} signings[] = {
    {"accepts_rs256", "RS256", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_rs384", "RS384", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_rs512", "RS512", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_ps256", "PS256", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_ps384", "PS384", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_ps512", "PS512", "rsa-2048", NULL, UNCHANGED, true},
    {"accepts_es256", "ES256", "p256", NULL, UNCHANGED, true},
    {"accepts_es384", "ES384", "p384", NULL, UNCHANGED, true},
    {"accepts_es512", "ES512", "p521", NULL, UNCHANGED, true},
    {"accepts_eddsa", "EdDSA", "ed25519", NULL, UNCHANGED, true},
    {"rejects_rs256_signed_as_ps256", "RS256", "rsa-2048", "PS256", UNCHANGED, false},
    {"rejects_ps256_signed_as_rs256", "PS256", "rsa-2048", "RS256", UNCHANGED, false},
    {"rejects_rs256_signed_as_rs512", "RS256", "rsa-2048", "RS512", UNCHANGED, false},
    {"rejects_es256_with_a_p384_key", "ES256", "p384", "ES384", UNCHANGED, false},
    {"rejects_es384_with_a_p256_key", "ES384", "p256", "ES256", UNCHANGED, false},
    {"rejects_rs256_with_an_ec_key", "RS256", "p256", "ES256", UNCHANGED, false},
    {"rejects_es256_with_an_rsa_key", "ES256", "rsa-2048", "RS256", UNCHANGED, false},
    {"rejects_eddsa_with_an_ec_key", "EdDSA", "p256", "ES256", UNCHANGED, false},
    {"rejects_a_changed_payload", "ES256", "p256", NULL, PAYLOAD_CHANGED, false},
    {"rejects_a_changed_signature", "ES256", "p256", NULL, SIGNATURE_CHANGED, false},
    {"rejects_a_changed_rsa_signature", "RS256", "rsa-2048", NULL, SIGNATURE_CHANGED, false},
    {"rejects_a_changed_eddsa_signature", "EdDSA", "ed25519", NULL, SIGNATURE_CHANGED, false},
    {"rejects_a_short_signature", "ES256", "p256", NULL, SIGNATURE_CUT, false},
    {"rejects_a_short_rsa_signature", "RS256", "rsa-2048", NULL, SIGNATURE_CUT, false},
    {"rejects_a_long_signature", "ES256", "p256", NULL, SIGNATURE_LONGER, false},
    {"rejects_a_long_eddsa_signature", "EdDSA", "ed25519", NULL, SIGNATURE_LONGER, false},
    {"rejects_a_signature_by_another_key", "ES256", "p256", NULL, SIGNATURE_OF_OTHER_KEY, false},
    {"rejects_zero_for_r_and_s", "ES256", "p256", NULL, SIGNATURE_ZERO, false},
};

static void
change_jws(struct jws *jws, struct arena *arena, enum change change)
{
    uint8_t *signature = arena_alloc(arena, jws->signature.len + 1);

    memcpy(signature, jws->signature.at, jws->signature.len);
    switch (change) {
    case UNCHANGED:
    case SIGNATURE_OF_OTHER_KEY:
        return;
    case PAYLOAD_CHANGED:
        jws->signing_input = bytes_of_text(arena_format(arena, "%sA", bytes_text(arena, jws->signing_input)));
        return;
    case SIGNATURE_CHANGED:
        signature[5] ^= 1;
        break;
    case SIGNATURE_CUT:
        jws->signature.len--;
        return;
    case SIGNATURE_LONGER:
        jws->signature.len++;
        break;
    case SIGNATURE_ZERO:
        memset(signature, 0, jws->signature.len);
        break;
    }
    jws->signature.at = signature;
}

static void
checks_signature(void **state)
{
    const struct signing *signing = *state;
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key(signing->key);
    AUTO(EVP_PKEY, other) = kit_key(signing->key);
    struct jws jws;
    struct jwk jwk;

    const char *header = arena_format(rq->arena, "{\"alg\":\"%s\",\"nonce\":\"nnnn\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", signing->alg);
    const char *body = jose_jws(rq->arena, signing->change == SIGNATURE_OF_OTHER_KEY ? other : key,
                                signing->signed_as != NULL ? signing->signed_as : signing->alg, header, "{\"a\":1}");
    const char *jwk_text = jose_jwk(rq->arena, key);
    assert_int_equal(jws_parse(rq, bytes_of_text(body), &jws), OK);
    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jwk_text)), &jwk), OK);
    change_jws(&jws, rq->arena, signing->change);

    /* As it came; then prepared, for the first signature and for the next. */
    for (int i = 0; i < 3; i++) {
        enum error error = jws_verify(rq, &jws, &jwk);
        if (signing->accepted)
            assert_int_equal(error, OK);
        else
            assert_int_not_equal(error, OK);
        assert_string_equal(rq->failure.reason, signing->accepted ? "" : "malformed");
        assert_int_equal(ERR_peek_error(), 0);
        failure_clear(rq);
        if (i == 0)
            jws_prepare(rq->arena, &jwk);
        assert_true(i == 0 || jwk.begun != NULL);
    }
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(shapes) + COUNT_OF(signings)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        tests[count++] = (struct CMUnitTest){.name = shapes[i].name, .test_func = checks_shape, .initial_state = (void *)&shapes[i]};
    for (size_t i = 0; i < COUNT_OF(signings); i++)
        tests[count++] = (struct CMUnitTest){.name = signings[i].name, .test_func = checks_signature, .initial_state = (void *)&signings[i]};
    return cmocka_run_group_tests_name("jws", tests, NULL, NULL);
}
