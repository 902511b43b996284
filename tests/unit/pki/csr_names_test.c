/* Which names a certification request asks for, wherever it writes them. */
#include "unit/kit.h"

#include <string.h>

#include "kit/pki_kit.h"
#include "pki/csr.h"

static EVP_PKEY *key;

static int
make_key(void **state)
{
    key = kit_key("p256");
    return 0;
}

static int
drop_key(void **state)
{
    EVP_PKEY_free(key);
    return 0;
}

static void
host_names_in_common_names_count_and_other_texts_do_not(void **state)
{
    static const struct {
        const char *subject, *names, *expected;
    } cases[] = {
        {"/CN=a.example", "DNS:a.example", "dns:a.example"},
        {"/CN=A.Example", "DNS:a.example", "dns:a.example"},
        {"/CN=b.example", "DNS:a.example", "dns:a.example dns:b.example"},
        {"/CN=a.example", NULL, "dns:a.example"},
        {"/CN=*.a.example", NULL, "dns:*.a.example"},
        {"/CN=192.0.2.1", NULL, "ip:192.0.2.1"},
        {"/CN=2001:DB8::1", "IP:2001:db8::1", "ip:2001:db8::1"},
        {"/CN=Web Server", "DNS:a.example", "dns:a.example"},
        {"/CN=router7", "DNS:a.example", "dns:a.example"},
        {"/CN=me@example.org", "email:me@example.org", "email:me@example.org"},
        {"/CN=Jane Q. Public", NULL, ""},
        {"/O=a.example", NULL, ""},
        {NULL, "DNS:a.example,URI:urn:x:y", "dns:a.example uri:urn:x:y"},
        {"/CN=a.example/CN=evil.example", "DNS:a.example", "dns:a.example dns:evil.example"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer shown = buffer_in(rq->arena);
        struct identifier *names;
        struct csr csr;
        size_t count;
        assert_int_equal(csr_parse(rq, kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = cases[i].subject, .names = cases[i].names}), &csr),
                         OK);
        assert_int_equal(csr_all_names(rq, &csr, &names, &count), OK);
        for (size_t j = 0; j < count; j++)
            buffer_append_format(&shown, "%s%s:%s", j == 0 ? "" : " ", identifier_type_name(names[j].type), names[j].value);
        assert_string_equal(buffer_text(&shown), cases[i].expected);
    }
}

static void
the_common_name_is_not_the_hundred_and_first(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier many[IDENTIFIERS_MAX], *names;
    struct csr csr = {.subject = kit_name(rq->arena, "/CN=one.more.example"), .names = many, .name_count = IDENTIFIERS_MAX};
    size_t count;

    for (size_t i = 0; i < IDENTIFIERS_MAX; i++)
        many[i] = (struct identifier){IDENTIFIER_DNS, arena_format(rq->arena, "h%zu.example", i)};
    assert_int_equal(csr_all_names(rq, &csr, &names, &count), ERR_BAD_NAME);
    failure_clear(rq);
    csr.subject = kit_name(rq->arena, "/CN=h7.example");
    assert_int_equal(csr_all_names(rq, &csr, &names, &count), OK);
    assert_int_equal(count, IDENTIFIERS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_names_in_common_names_count_and_other_texts_do_not),
        cmocka_unit_test(the_common_name_is_not_the_hundred_and_first),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
