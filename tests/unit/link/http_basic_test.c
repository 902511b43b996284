/* Basic credentials: RFC 7617's own examples, and what is none. */
#include "unit/kit.h"

#include <string.h>

#include "base/base64.h"
#include "link/http_basic.h"

static void
reads_user_and_password(void **state)
{
    static const struct {
        const char *header, *user, *password;
    } cases[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},
        {"basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"}, /* scheme in any case, padding missing */
        {"BASIC dGVzdDoxMjPCow==", "test", "123\xc2\xa3"},              /* RFC 7617 §2.1 */
        {"Basic  dGVzdDox", "test", "1"},
        {"Basic YTpiOmM=", "a", "b:c"},
        {"Basic Og==", "", ""},
        {"Basic YTo=", "a", ""},
        {"Basic RFxhOmI=", "D\\a", "b"},
        {"Basic 6Tpi", "\xe9", "b"}, /* ISO 8859-1: whoever wants UTF-8 looks himself */
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct bytes user, password;
        assert_true(http_basic_read(arena, cases[i].header, &user, &password));
        assert_true(bytes_equal(user, bytes_of_text(cases[i].user)));
        assert_true(bytes_equal(password, bytes_of_text(cases[i].password)));
    }
}

static void
refuses_what_is_none(void **state)
{
    static const char *const cases[] = {NULL, "", "Basic", "Basic ", "Basic YWI=", "Basic !!!!", "Bearer YTpi", "BasicYTpi", "Digest username=\"a\""};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct bytes user = BYTES("kept", 4), password = BYTES_NONE;
        assert_false(http_basic_read(arena, cases[i], &user, &password));
        assert_true(bytes_equal(user, BYTES("kept", 4)));
    }
}

static void
refuses_a_header_that_is_too_long(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes user, password;
    char pair[800] = "a:";

    memset(pair + 2, 'x', sizeof pair - 3);
    pair[700] = '\0'; /* 936 octets of base64 */
    assert_true(http_basic_read(arena, arena_format(arena, "Basic %s", base64_encode(arena, bytes_of_text(pair))), &user, &password));
    pair[700] = 'x'; /* 1068 */
    assert_false(http_basic_read(arena, arena_format(arena, "Basic %s", base64_encode(arena, bytes_of_text(pair))), &user, &password));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_user_and_password),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(refuses_a_header_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
