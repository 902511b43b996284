/* Distinguished names from outside: accepted in every string type of the field, shown as RFC 4514 says, refused with the attribute's name. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509.h>

#include "kit/pki_kit.h"
#include "pki/name.h"
#include "pki/oid.h"

/* A name of one attribute. */
static struct bytes
name_of(struct arena *arena, struct bytes type, unsigned tag, struct bytes value)
{
    struct buffer out = buffer_in(arena);
    size_t name = der_open(&out, DER_SEQUENCE), rdn = der_open(&out, DER_SET), attribute = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, type);
    der_put(&out, tag, value);
    der_close(&out, attribute);
    der_close(&out, rdn);
    der_close(&out, name);
    return buffer_bytes(&out);
}

static void
string_types_of_the_field_are_shown_as_utf8(void **state)
{
    static const struct {
        unsigned tag;
        struct bytes value;
        const char *text;
    } cases[] = {
        {DER_UTF8_STRING,
         {(const uint8_t *)"B\xc3\xbc"
                           "cher",
          7},
         "B\xc3\xbc"
         "cher"},
        {DER_PRINTABLE_STRING, {(const uint8_t *)"a.example", 9}, "a.example"},
        {DER_PRINTABLE_STRING, {(const uint8_t *)"*.a_b@example", 13}, "*.a_b@example"},
        {DER_IA5_STRING, {(const uint8_t *)"a@b", 3}, "a@b"},
        {0x12, {(const uint8_t *)"123 4", 5}, "123 4"},
        {0x1e, {(const uint8_t *)"\0A\0\xfc\x20\xac", 6}, "A\xc3\xbc\xe2\x82\xac"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes der = name_of(rq->arena, OID_COMMON_NAME, cases[i].tag, cases[i].value);
        assert_int_equal(name_check(rq, der), OK);
        assert_string_equal(name_common_name(rq->arena, der), cases[i].text);
        assert_string_equal(name_format(rq->arena, der), arena_format(rq->arena, "CN=%s", cases[i].text));
    }
}

/* RFC 5280 §4.1.2.4, appendix A.1: whatever a client writes, certificates have the types that their readers expect. */
static void
is_respelled_as_certificates_want_it(void **state)
{
    static const struct {
        const struct bytes *type;
        unsigned tag, right_tag;
        struct bytes value;
        const char *text;
    } cases[] = {
        {&OID_COMMON_NAME, DER_PRINTABLE_STRING, DER_PRINTABLE_STRING, {(const uint8_t *)"a.example", 9}, "a.example"},
        {&OID_COMMON_NAME, DER_PRINTABLE_STRING, DER_UTF8_STRING, {(const uint8_t *)"*.a_b@example", 13}, "*.a_b@example"},
        {&OID_COMMON_NAME, DER_IA5_STRING, DER_UTF8_STRING, {(const uint8_t *)"a", 1}, "a"},
        {&OID_COMMON_NAME, 0x12, DER_UTF8_STRING, {(const uint8_t *)"123 4", 5}, "123 4"},
        {&OID_COMMON_NAME, 0x1e, DER_UTF8_STRING, {(const uint8_t *)"\0A\0\xfc", 4}, "A\xc3\xbc"},
        {&OID_COMMON_NAME, DER_UTF8_STRING, DER_UTF8_STRING, {(const uint8_t *)"a", 1}, "a"},
        {&OID_COUNTRY, DER_UTF8_STRING, DER_PRINTABLE_STRING, {(const uint8_t *)"DE", 2}, "DE"},
        {&OID_SERIAL_NUMBER, DER_UTF8_STRING, DER_PRINTABLE_STRING, {(const uint8_t *)"A1", 2}, "A1"},
        {&OID_SERIAL_NUMBER, DER_UTF8_STRING, DER_UTF8_STRING, {(const uint8_t *)"A_1", 3}, "A_1"},
        {&OID_EMAIL_ADDRESS, DER_UTF8_STRING, DER_IA5_STRING, {(const uint8_t *)"a@b", 3}, "a@b"},
        {&OID_DOMAIN_COMPONENT, DER_IA5_STRING, DER_IA5_STRING, {(const uint8_t *)"b", 1}, "b"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes right = name_of(rq->arena, *cases[i].type, cases[i].right_tag, bytes_of_text(cases[i].text));
        assert_true(bytes_equal(name_respell(rq->arena, name_of(rq->arena, *cases[i].type, cases[i].tag, cases[i].value)), right));
        assert_true(bytes_equal(name_respell(rq->arena, right), right));
    }
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes whole = kit_name(arena, "/C=DE/O=B/OU=x+CN=a/emailAddress=a@b"), nobody = name_encode(arena, NULL, 0);
    assert_true(bytes_equal(name_respell(arena, whole), whole));
    assert_true(bytes_equal(name_respell(arena, nobody), nobody));
}

/* X.690 §11.6 */
static void
parts_of_one_rdn_are_put_in_order(void **state)
{
    static const uint8_t wrong[] = {0x30, 0x16, 0x31, 0x14, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x0b, 0x0c,
                                    0x01, 'u',  0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'c'};
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes right = name_respell(arena, BYTES(wrong, sizeof wrong));

    assert_int_equal(right.len, sizeof wrong);
    assert_memory_equal(right.at + 4, wrong + 14, 10);
    assert_memory_equal(right.at + 14, wrong + 4, 10);
}

static void
bad_values_are_refused_with_their_attribute(void **state)
{
    static const struct {
        const struct bytes *type;
        unsigned tag;
        const char *value;
        size_t len;
        const char *why;
    } cases[] = {
        {&OID_COMMON_NAME, DER_UTF8_STRING, "", 0, "CN is empty"},
        {&OID_COMMON_NAME, DER_UTF8_STRING, "\xc3", 1, "CN is not valid UTF-8"},
        {&OID_COMMON_NAME, DER_UTF8_STRING, "a\0b", 3, "CN is not valid UTF-8"},
        {&OID_COMMON_NAME, DER_UTF8_STRING, "a\nb", 3, "CN has a control character"},
        {&OID_COMMON_NAME, DER_PRINTABLE_STRING, "a\xe4", 2, "CN is not ASCII"},
        {&OID_COMMON_NAME, DER_PRINTABLE_STRING, "a\0", 2, "CN is not ASCII"},
        {&OID_COMMON_NAME, 0x14, "abc", 3, "CN is a T61String"},
        {&OID_COMMON_NAME, 0x1c, "\0\0\0a", 4, "CN is a UniversalString"},
        {&OID_COMMON_NAME, 0x1e, "\0a\0", 3, "CN is half a character"},
        {&OID_COMMON_NAME, 0x1e, "\0a\0\0", 4, "CN has a character that BMPString"},
        {&OID_COMMON_NAME, 0x1e, "\xd8\x00\xdc\x00", 4, "CN has a character that BMPString"},
        {&OID_COMMON_NAME, DER_OCTET_STRING, "abc", 3, "CN is not a text"},
        {&OID_COMMON_NAME, DER_SEQUENCE, "", 0, "CN is not a text"},
        {&OID_COUNTRY, DER_PRINTABLE_STRING, "DEU", 3, "C is too long"},
        {&OID_COUNTRY, DER_PRINTABLE_STRING, "D", 1, "C is too short"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes der = name_of(rq->arena, *cases[i].type, cases[i].tag, BYTES(cases[i].value, cases[i].len));
        assert_int_equal(name_check(rq, der), ERR_BAD_REQUEST);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s instead of %s", rq->failure.message, cases[i].why);
    }
}

static void
lengths_are_counted_in_characters(void **state)
{
    static const struct {
        const struct bytes *type;
        size_t characters;
        bool good;
    } cases[] = {{&OID_COMMON_NAME, 64, true},   {&OID_COMMON_NAME, 65, false},  {&OID_ORGANIZATION, 64, true}, {&OID_ORGANIZATION, 65, false},
                 {&OID_LOCALITY, 128, true},     {&OID_LOCALITY, 129, false},    {&OID_STREET, 128, true},      {&OID_STREET, 129, false},
                 {&OID_SERIAL_NUMBER, 64, true}, {&OID_SERIAL_NUMBER, 65, false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer text = buffer_in(rq->arena);
        for (size_t j = 0; j < cases[i].characters; j++)
            buffer_append_text(&text, "\xc3\xbc"); /* two octets, one character */
        struct bytes der = name_of(rq->arena, *cases[i].type, DER_UTF8_STRING, buffer_bytes(&text));
        assert_int_equal(name_check(rq, der), cases[i].good ? OK : ERR_BAD_REQUEST);
    }
}

static void
shapes_that_are_no_name_are_refused_and_shown_as_hexadecimal(void **state)
{
    static const char *const cases[] = {"",
                                        "3100",
                                        "300231",
                                        "30023100",
                                        "3003310130",
                                        "30043102"
                                        "3000",
                                        "3000"
                                        "00",
                                        "30083106300406010a0500"
                                        "00"};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes der;
        assert_true(bytes_from_hex(rq->arena, cases[i], &der));
        assert_int_equal(name_check(rq, der), ERR_BAD_REQUEST);
        assert_string_equal(name_format(rq->arena, der), arena_format(rq->arena, "#%s", cases[i]));
        assert_null(name_common_name(rq->arena, der));
    }
}

static void
a_name_has_at_most_32_attributes(void **state)
{
    for (size_t count = NAME_ATTRIBUTES_MAX; count <= NAME_ATTRIBUTES_MAX + 1; count++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct name_part parts[NAME_ATTRIBUTES_MAX + 1];
        for (size_t i = 0; i < count; i++)
            parts[i] = (struct name_part){OID_ORGANIZATIONAL_UNIT, "unit"};
        assert_int_equal(name_check(rq, name_encode(rq->arena, parts, count)), count <= NAME_ATTRIBUTES_MAX ? OK : ERR_BAD_REQUEST);
    }
}

static void
the_most_specific_part_is_shown_first(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(name_format(arena, kit_name(arena, "/C=DE/O=Example/CN=a.example")), "CN=a.example,O=Example,C=DE");
    assert_string_equal(name_format(arena, kit_name(arena, "/DC=example/DC=org/UID=me")), "UID=me,DC=org,DC=example");
    assert_string_equal(name_format(arena, BYTES("\x30\x00", 2)), "");
}

static void
special_characters_are_escaped_as_rfc_4514_says(void **state)
{
    static const struct {
        const char *value, *shown;
    } cases[] = {
        {"a,b+c\"d\\e<f>g;h", "O=a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h"},
        {"#a#", "O=\\#a#"},
        {" a b ", "O=\\ a b\\ "},
        {" ", "O=\\ "},
        {"a=b", "O=a=b"},
        {"a\nb", "O=a\\0Ab"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        assert_string_equal(name_format(arena, name_of(arena, OID_ORGANIZATION, DER_UTF8_STRING, bytes_of_text(cases[i].value))), cases[i].shown);
    }
}

static void
what_cannot_be_shown_is_shown_as_hexadecimal(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(name_format(arena, name_of(arena, OID_COMMON_NAME, 0x14, BYTES("abc", 3))), "CN=#1403616263");
    assert_string_equal(name_format(arena, name_of(arena, BYTES("\x55\x04\x61", 3), DER_UTF8_STRING, BYTES("x", 1))), "2.5.4.97=#0c0178");
}

static void
relative_names_of_several_parts_are_joined(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    X509_NAME *name = X509_NAME_new();
    unsigned char *der = NULL;

    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Example", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"a", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)"b", -1, -1, -1);
    int len = i2d_X509_NAME(name, &der);
    assert_string_equal(name_format(arena, BYTES(der, (size_t)len)), "CN=a+OU=b,O=Example");
    OPENSSL_free(der);
    X509_NAME_free(name);
}

static void
every_common_name_is_found(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes der = kit_name(arena, "/CN=one/O=Example/CN=two");
    size_t count;
    char **values = name_values(arena, der, OID_COMMON_NAME, &count);

    assert_int_equal(count, 2);
    assert_string_equal(values[0], "one");
    assert_string_equal(values[1], "two");
    assert_string_equal(name_common_name(arena, der), "one");
    assert_null(name_common_name(arena, kit_name(arena, "/O=Example")));
}

static void
an_empty_name_is_known(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_true(name_is_empty(BYTES_NONE));
    assert_true(name_is_empty(BYTES("\x30\x00", 2)));
    assert_false(name_is_empty(kit_name(arena, "/CN=a")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(string_types_of_the_field_are_shown_as_utf8),
        cmocka_unit_test(is_respelled_as_certificates_want_it),
        cmocka_unit_test(parts_of_one_rdn_are_put_in_order),
        cmocka_unit_test(bad_values_are_refused_with_their_attribute),
        cmocka_unit_test(lengths_are_counted_in_characters),
        cmocka_unit_test(shapes_that_are_no_name_are_refused_and_shown_as_hexadecimal),
        cmocka_unit_test(a_name_has_at_most_32_attributes),
        cmocka_unit_test(the_most_specific_part_is_shown_first),
        cmocka_unit_test(special_characters_are_escaped_as_rfc_4514_says),
        cmocka_unit_test(what_cannot_be_shown_is_shown_as_hexadecimal),
        cmocka_unit_test(relative_names_of_several_parts_are_joined),
        cmocka_unit_test(every_common_name_is_found),
        cmocka_unit_test(an_empty_name_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
