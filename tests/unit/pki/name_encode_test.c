/* Names that we make are those that OpenSSL makes of the same parts. */
#include "unit/kit.h"

#include "kit/pki_kit.h"
#include "pki/name.h"
#include "pki/oid.h"

static void
is_what_openssl_encodes(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const struct name_part parts[] = {{OID_DOMAIN_COMPONENT, "example"},
                                      {OID_COUNTRY, "DE"},
                                      {OID_STATE, "Bayern"},
                                      {OID_LOCALITY, "München"},
                                      {OID_ORGANIZATION, "Bücher & Co"},
                                      {OID_ORGANIZATIONAL_UNIT, "PKI"},
                                      {OID_SERIAL_NUMBER, "HRB 4711"},
                                      {OID_COMMON_NAME, "Root CA"},
                                      {OID_EMAIL_ADDRESS, "pki@example.org"}};

    struct bytes ours = name_encode(arena, parts, COUNT_OF(parts));
    struct bytes judged =
        kit_name(arena, "/DC=example/C=DE/ST=Bayern/L=München/O=Bücher & Co/OU=PKI/serialNumber=HRB 4711/CN=Root CA/emailAddress=pki@example.org");
    assert_true(bytes_equal(ours, judged));
}

static void
empty_parts_are_left_out(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const struct name_part parts[] = {{OID_COUNTRY, ""}, {OID_COMMON_NAME, "a"}, {OID_ORGANIZATION, NULL}};

    assert_true(bytes_equal(name_encode(arena, parts, COUNT_OF(parts)), kit_name(arena, "/CN=a")));
    assert_true(name_is_empty(name_encode(arena, parts, 1)));
    assert_true(name_is_empty(name_encode(arena, NULL, 0)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_what_openssl_encodes),
        cmocka_unit_test(empty_parts_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
