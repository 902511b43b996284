/* The table of object identifiers: octets, dotted forms and names agree, with OpenSSL as the judge of the octets. */
#include "unit/kit.h"

#include <openssl/objects.h>

#include "pki/oid.h"

static void
octets_are_what_openssl_encodes(const char *dotted, struct bytes octets)
{
    ASN1_OBJECT *object = OBJ_txt2obj(dotted, 1);

    assert_non_null(object);
    assert_int_equal(OBJ_length(object), octets.len);
    assert_memory_equal(OBJ_get0_data(object), octets.at, octets.len);
    ASN1_OBJECT_free(object);
}

static void
every_constant_is_its_dotted_form_and_its_name(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes parsed;

#define CHECK(name, dotted, text)                                                 \
    octets_are_what_openssl_encodes(dotted, OID_##name);                          \
    assert_true(oid_parse(arena, dotted, &parsed) && oid_is(parsed, OID_##name)); \
    assert_true(oid_parse(arena, text, &parsed) && oid_is(parsed, OID_##name));   \
    assert_string_equal(oid_name(arena, OID_##name), text);
    OID_LIST(CHECK)
#undef CHECK
}

static void
unknown_oids_are_shown_dotted(void **state)
{
    static const char *const dotted[] = {"2.5.4.97", "1.3.6.1.4.1.311.20.2.2", "2.999.1", "0.0", "1.39.4294967295", "2.48"};

    for (size_t i = 0; i < COUNT_OF(dotted); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct bytes parsed;
        assert_true(oid_parse(arena, dotted[i], &parsed));
        octets_are_what_openssl_encodes(dotted[i], parsed);
        assert_string_equal(oid_name(arena, parsed), dotted[i]);
    }
}

static void
arcs_beyond_any_number_are_shown_as_hexadecimal(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(oid_name(arena, BYTES("\x69\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)), "oid:69ffffffffffffffffffff01");
    assert_string_equal(oid_name(arena, BYTES("\x55\x84", 2)), "oid:5584");
    assert_string_equal(oid_name(arena, BYTES_NONE), "oid:");
}

static void
names_that_are_neither_known_nor_dotted_are_refused(void **state)
{
    static const char *const texts[] = {
        "", "1", "1.", ".1", "1..2", "3.1", "1.40", "1.2.x", "serverauth2", "1.02", "1.2.3 ", "1.99999999999999999999", "CN "};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct bytes parsed;
        assert_false(oid_parse(arena, texts[i], &parsed));
    }
}

static void
names_are_found_in_any_case(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes parsed;

    assert_true(oid_parse(arena, "SERVERAUTH", &parsed) && oid_is(parsed, OID_SERVER_AUTH));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_constant_is_its_dotted_form_and_its_name),
        cmocka_unit_test(unknown_oids_are_shown_dotted),
        cmocka_unit_test(arcs_beyond_any_number_are_shown_as_hexadecimal),
        cmocka_unit_test(names_that_are_neither_known_nor_dotted_are_refused),
        cmocka_unit_test(names_are_found_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
