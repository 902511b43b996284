/* Base64 in both alphabets, against RFC 4648 §10 and against OpenSSL. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/clock.h"

typedef bool decoder(struct arena *, struct bytes, struct bytes *);

static void
rfc_4648_vectors_go_there_and_back(void **state)
{
    static const char *const vectors[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct bytes octets = bytes_of_text(vectors[i][0]), back;
        assert_string_equal(base64_encode(arena, octets), vectors[i][1]);
        assert_string_equal(base64url_encode(arena, octets), vectors[i][2]);
        assert_true(base64_decode(arena, bytes_of_text(vectors[i][1]), &back) && bytes_equal(back, octets));
        assert_true(base64url_decode(arena, bytes_of_text(vectors[i][2]), &back) && bytes_equal(back, octets));
        assert_true(base64url_decode_lenient(arena, bytes_of_text(vectors[i][1]), &back) && bytes_equal(back, octets));
        assert_true(base64url_decode_lenient(arena, bytes_of_text(vectors[i][2]), &back) && bytes_equal(back, octets));
    }
}

static void
every_length_agrees_with_openssl(void **state)
{
    uint8_t octets[300];
    unsigned char expected[401];
    AUTO_STRUCT(arena, arena) = arena_new();

    random_bytes(octets, sizeof octets);
    for (size_t len = 0; len <= sizeof octets; len++) {
        struct bytes from = BYTES(octets, len), back;
        EVP_EncodeBlock(expected, octets, (int)len);
        assert_string_equal(base64_encode(arena, from), (char *)expected);
        assert_true(base64_decode(arena, bytes_of_text((char *)expected), &back) && bytes_equal(back, from));
        assert_true(base64url_decode(arena, bytes_of_text(base64url_encode(arena, from)), &back) && bytes_equal(back, from));
        arena_reset(arena);
    }
}

static void
each_decoder_accepts_only_what_it_promises(void **state)
{
    static const struct {
        const char *text;
        bool standard, url, lenient;
    } cases[] = {
        {"Zm9v", true, true, true},
        {"Zg", true, true, true},
        {"Zg==", true, false, true},
        {"Zm8=", true, false, true},
        {"Zm9v\r\nZg==\r\n", true, false, false},
        {" Z m\t8 = ", true, false, false},
        {"Zg=\n=", true, false, false},
        {"+//+", true, false, true},
        {"-__-", false, true, true},
        {"+__-", false, false, true},
        {"Z", false, false, false},
        {"Zm9vZ", false, false, false},
        {"=", false, false, false},
        {"====", false, false, false},
        {"Zm9v=", false, false, false},
        {"Zm9v====", false, false, false},
        {"Zg=", false, false, false},
        {"Zg===", false, false, false},
        {"Zm8==", false, false, false},
        {"Z===", false, false, false},
        {"Zg==Zg==", false, false, false},
        {"Zg==Z", false, false, false},
        {"Z=g=", false, false, false},
        {"Zh", false, false, false}, /* unused bits set */
        {"Zm9", false, false, false},
        {"Zm9v!", false, false, false},
        {"Zm\x80v", false, false, false},
        {"Zm9v\v", false, false, false},
    };
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static decoder *const decoders[] = {base64_decode, base64url_decode, base64url_decode_lenient};
        const bool accepted[] = {cases[i].standard, cases[i].url, cases[i].lenient};
        for (size_t d = 0; d < COUNT_OF(decoders); d++) {
            struct bytes untouched = BYTES("u", 1);
            if (decoders[d](arena, bytes_of_text(cases[i].text), &untouched) != accepted[d])
                fail_msg("decoder %zu, case \"%s\"", d, cases[i].text);
            if (!accepted[d])
                assert_string_equal((const char *)untouched.at, "u");
        }
    }
}

static void
a_nul_inside_is_refused(void **state)
{
    struct bytes none;
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_false(base64url_decode(arena, BYTES("Zm9\0", 4), &none));
    assert_false(base64_decode(arena, BYTES("Zm9v\0", 5), &none));
    assert_true(base64_decode(arena, BYTES("Zm9v", 4), &none));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_4648_vectors_go_there_and_back),
        cmocka_unit_test(every_length_agrees_with_openssl),
        cmocka_unit_test(each_decoder_accepts_only_what_it_promises),
        cmocka_unit_test(a_nul_inside_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
