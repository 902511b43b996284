/* ListTemplates: the eight that exist from the start, and versions. */
#include "signer_fixture.h"

static void
the_default_templates_are_there_and_usable(void **state)
{
    static const struct {
        const char *name;
        unsigned validity_days;
    } wanted[] = {{"Certificate Authority", 3650}, {"Code-Signing", 1095},       {"Device-Certificate", 1825}, {"Email-SMIME", 730},
                  {"TLS-Client-Auth", 730},        {"TLS-Server-External", 365}, {"TLS-Server-Internal", 730}, {"Web Server", 90}};
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    Pb__ListTemplatesReply reply = PB__LIST_TEMPLATES_REPLY__INIT;

    assert_int_equal(list_templates(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_templates, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        size_t k = 0;
        while (k < reply.n_templates && !text_equal(reply.templates[k]->name, wanted[i].name))
            k++;
        assert_true(k < reply.n_templates);
        assert_int_equal(reply.templates[k]->validity_days, wanted[i].validity_days);
        struct template checked;
        if (template_check(rq, rq->arena, reply.templates[k], &checked) != OK)
            fail_msg("%s: %s", wanted[i].name, rq->failure.message);
    }
}

static void
code_signing_is_rsa_4096_without_names_and_approved(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    Pb__ListTemplatesReply reply = PB__LIST_TEMPLATES_REPLY__INIT;

    request.name = "Code-Signing";
    request.version = 1;
    assert_int_equal(list_templates(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_templates, 1);
    const Pb__Template *template = reply.templates[0];
    assert_int_equal(template->min_rsa_bits, 4096);
    assert_int_equal(template->n_key_types, 1);
    assert_int_equal(template->n_name_types, 0);
    assert_true(template->requires_approval);
    assert_string_equal(template->extended_key_usage[0], "codeSigning");
}

static void
unknown_names_and_versions_give_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListTemplatesRequest request = PB__LIST_TEMPLATES_REQUEST__INIT;
    Pb__ListTemplatesReply reply = PB__LIST_TEMPLATES_REPLY__INIT;

    request.name = "Web Server";
    request.version = 77;
    assert_int_equal(list_templates(&signer, rq, &request, &reply), OK);
    assert_int_equal(reply.n_templates, 0);
    request.name = "";
    assert_int_equal(list_templates(&signer, rq, &request, &reply), ERR_BAD_REQUEST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_default_templates_are_there_and_usable),
                                       cmocka_unit_test(code_signing_is_rsa_4096_without_names_and_approved),
                                       cmocka_unit_test(unknown_names_and_versions_give_nothing)};

    log_open("list-templates-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
