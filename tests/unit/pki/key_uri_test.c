/* Key URIs: RFC 7512's forms, ours, and never a PIN. */
#include "unit/kit.h"

#include <string.h>

#include "pki/key_uri.h"

static void
reads_and_writes_the_places_of_keys(void **state)
{
    static const struct {
        const char *text;
        enum key_place place;
        const char *token, *object, *id, *canonical;
    } cases[] = {
        {"pkcs11:token=signet;object=root", KEY_IN_TOKEN, "signet", "root", "", "pkcs11:token=signet;object=root"},
        {"pkcs11:object=a%20b;token=%C3%A4", KEY_IN_TOKEN, "\xc3\xa4", "a b", "", "pkcs11:token=%C3%A4;object=a%20b"},
        {"pkcs11:id=%01%fe%00", KEY_IN_TOKEN, "", "", "01fe00", "pkcs11:id=%01%FE%00"},
        {"pkcs11:token=t;object=o;type=private;serial=12;manufacturer=S;slot-id=3", KEY_IN_TOKEN, "t", "o", "", "pkcs11:token=t;object=o"},
        {"pkcs11:object=semi%3Bcolon%25", KEY_IN_TOKEN, "", "semi;colon%", "", "pkcs11:object=semi%3Bcolon%25"},
        {"pkcs11:object=a&b", KEY_IN_TOKEN, "", "a&b", "", "pkcs11:object=a&b"},
        {"managed:issuing-2026", KEY_MANAGED, "", "issuing-2026", "", "managed:issuing-2026"},
        {"managed:a%2Fb", KEY_MANAGED, "", "a/b", "", "managed:a%2Fb"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct key_uri uri, again;
        assert_int_equal(key_uri_parse(rq, cases[i].text, &uri), OK);
        assert_int_equal(uri.place, cases[i].place);
        assert_string_equal(uri.token, cases[i].token);
        assert_string_equal(uri.object, cases[i].object);
        assert_string_equal(bytes_hex(rq->arena, uri.id, 0), cases[i].id);
        assert_string_equal(key_uri_format(rq->arena, &uri), cases[i].canonical);
        assert_int_equal(key_uri_parse(rq, cases[i].canonical, &again), OK);
        assert_string_equal(again.object, uri.object);
        assert_true(bytes_equal(again.id, uri.id));
    }
}

static void
refuses_everything_else_and_says_why(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "neither"},
        {"file:/key.pem", "neither"},
        {"pkcs11:", "names no key"},
        {"pkcs11:token=t", "names no key"},
        {"pkcs11:object=a;pin-value=1234", "never has pin-value"},
        {"pkcs11:object=a;pin-source=file:/x", "never has pin-source"},
        {"pkcs11:object=a?pin-value=1234", "never has a query part"},
        {"pkcs11:object=a?module-path=/evil.so", "never has a query part"},
        {"pkcs11:object=a;object=b", "twice"},
        {"pkcs11:object", "without '='"},
        {"pkcs11:object=%4", "percent"},
        {"pkcs11:object=%zz", "percent"},
        {"pkcs11:object=%00", "percent"},
        {"pkcs11:object=%ff", "percent"},
        {"pkcs11:object=a b", "percent"},
        {"pkcs11:object=a;type=cert", "not a private key"},
        {"pkcs11:Object=a", "unknown attribute"},
        {"managed:", "empty"},
        {"managed:a/b", "percent"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct key_uri uri;
        assert_int_equal(key_uri_parse(rq, cases[i].text, &uri), ERR_BAD_REQUEST);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].text, rq->failure.message);
        assert_null(strstr(rq->failure.message, "1234"));
    }
}

static void
refuses_what_is_longer_than_any_label(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct key_uri uri;
    char label[200], longest[2000];

    memset(label, 'a', sizeof label);
    label[128] = '\0';
    assert_int_equal(key_uri_parse(rq, arena_format(rq->arena, "pkcs11:object=%s", label), &uri), OK);
    assert_int_equal(key_uri_parse(rq, arena_format(rq->arena, "pkcs11:object=%sa", label), &uri), ERR_BAD_REQUEST);
    failure_clear(rq);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(key_uri_parse(rq, arena_format(rq->arena, "managed:%s", longest), &uri), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "1024"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_places_of_keys),
        cmocka_unit_test(refuses_everything_else_and_says_why),
        cmocka_unit_test(refuses_what_is_longer_than_any_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
