/* PEM out and in. */
#include "unit/kit.h"

#include "pki/pem.h"

static void
writes_lines_of_64_columns(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer out = buffer_in(arena);

    pem_append(&out, "CERTIFICATE", BYTES(arena_alloc(arena, 50), 50));
    assert_string_equal(buffer_text(&out), "-----BEGIN CERTIFICATE-----\n"
                                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
                                           "AAA=\n"
                                           "-----END CERTIFICATE-----\n");
}

static void
reads_what_it_wrote_for_every_length(void **state)
{
    for (size_t len = 1; len < 200; len++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer out = buffer_in(rq->arena);
        uint8_t *octets = arena_alloc(rq->arena, len);
        for (size_t i = 0; i < len; i++)
            octets[i] = (uint8_t)(i * 7);
        pem_append(&out, "X509 CRL", BYTES(octets, len));
        const char *at = buffer_text(&out);
        struct bytes der;
        assert_int_equal(pem_next(rq, &at, "X509 CRL", &der), OK);
        assert_int_equal(der.len, len);
        assert_memory_equal(der.at, octets, len);
        assert_string_equal(at, "\n");
    }
}

static void
passes_over_text_and_other_labels(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes *ders;
    size_t count;
    const char *text = "subject=CN = one\r\n-----BEGIN CERTIFICATE-----\r\nAQ==\r\n-----END CERTIFICATE-----\r\n"
                       "-----BEGIN PRIVATE KEY-----\nAg==\n-----END PRIVATE KEY-----\n"
                       "-----BEGIN X509 CERTIFICATE-----\n  AwM=\n-----END X509 CERTIFICATE-----";

    assert_int_equal(pem_all(rq, text, "CERTIFICATE", 2, &ders, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(ders[0].len, 1);
    assert_int_equal(ders[1].len, 2);
}

static void
refuses_more_blocks_than_allowed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes *ders;
    size_t count;

    assert_int_equal(pem_all(rq, "-----BEGIN A-----\nAQ==\n-----END A-----\n-----BEGIN A-----\nAQ==\n-----END A-----\n", "A", 1, &ders, &count),
                     ERR_TOO_LARGE);
}

static void
finds_nothing_where_nothing_is(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes *ders, der;
    size_t count = 7;
    const char *text = "-----BEGIN CERTIFICATE", *at = text;

    assert_int_equal(pem_all(rq, text, "CERTIFICATE", 5, &ders, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(pem_next(rq, &at, "CERTIFICATE", &der), ERR_NOT_FOUND);
    assert_ptr_equal(at, text);
}

static void
refuses_broken_blocks(void **state)
{
    static const char *const texts[] = {
        "-----BEGIN A-----\nAQ==\n",
        "-----BEGIN A-----\nAQ==\n-----END B-----\n",
        "-----BEGIN A-----\n-----END A-----\n",
        "-----BEGIN A-----\nA*==\n-----END A-----\n",
        "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAQ==\n-----END A-----\n",
        "-----BEGIN A-----\nAQ==\n-----END A",
    };

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const char *at = texts[i];
        struct bytes der;
        assert_int_equal(pem_next(rq, &at, "A", &der), ERR_BAD_REQUEST);
        assert_ptr_equal(at, texts[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines_of_64_columns),        cmocka_unit_test(reads_what_it_wrote_for_every_length),
        cmocka_unit_test(passes_over_text_and_other_labels), cmocka_unit_test(refuses_more_blocks_than_allowed),
        cmocka_unit_test(finds_nothing_where_nothing_is),    cmocka_unit_test(refuses_broken_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
