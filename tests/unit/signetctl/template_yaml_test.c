/* Templates as YAML, there and back, and what is refused with its line. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "signetctl.h"

static const char whole[] = "name: \"Web \\\"Server\\\" ü\"\n"
                            "version: 4\n"
                            "description: |\n  two\n  lines\n"
                            "enabled: true\n"
                            "validity_days: 90\n"
                            "key_types: [rsa, p256]\n"
                            "min_rsa_bits: 2048\n"
                            "extended_key_usage:\n- serverAuth\n- 1.3.6.1.5.5.7.3.2\n"
                            "path_length: -1\n"
                            "name_types: [dns, IP]\n"
                            "subject: common-name\n";

static enum error
read_yaml(struct request *rq, const char *yaml, Pb__Template **ret_template)
{
    return template_from_yaml(rq, bytes_of_text(yaml), ret_template);
}

static void
check_whole(const Pb__Template *template)
{
    assert_string_equal(template->name, "Web \"Server\" ü");
    assert_int_equal(template->version, 4);
    assert_string_equal(template->description, "two\nlines\n");
    assert_true(template->enabled);
    assert_false(template->is_ca);
    assert_int_equal(template->validity_days, 90);
    assert_int_equal(template->n_key_types, 2);
    assert_string_equal(template->key_types[1], "p256");
    assert_int_equal(template->n_extended_key_usage, 2);
    assert_string_equal(template->extended_key_usage[1], "1.3.6.1.5.5.7.3.2");
    assert_int_equal(template->path_length, -1);
    assert_int_equal(template->n_name_types, 2);
    assert_int_equal(template->name_types[0], PB__NAME_TYPE__NAME_TYPE_DNS);
    assert_int_equal(template->name_types[1], PB__NAME_TYPE__NAME_TYPE_IP);
    assert_string_equal(template->subject, "common-name");
    assert_int_equal(template->n_key_usage, 0);
    assert_string_equal(template->issuer, "");
}

static void
reads_what_is_given_and_leaves_the_rest_empty(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Template *template = NULL;

    assert_int_equal(read_yaml(rq, whole, &template), OK);
    check_whole(template);
}

static void
reads_again_what_it_wrote(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer first = buffer_in(rq->arena), second = buffer_in(rq->arena);
    Pb__Template *template = NULL;

    assert_int_equal(read_yaml(rq, whole, &template), OK);
    template->description = arena_format(rq->arena, "%0400d tabs\tquotes\" # no comment\n: - ", 1);
    message_to_yaml(rq->arena, &template->base, &first);
    const char *description = template->description;
    assert_int_equal(read_yaml(rq, buffer_text(&first), &template), OK);
    assert_string_equal(template->description, description);
    template->description = "two\nlines\n";
    check_whole(template);
    template->description = description;
    message_to_yaml(rq->arena, &template->base, &second);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
}

static void
texts_of_many_lines_come_back_as_they_were(void **state)
{
    static const char *const texts[] = {"-----BEGIN X-----\nAAAA\n-----END X-----\n",
                                        "-----BEGIN X-----\r\nAAAA\r\n-----END X-----\r\n",
                                        "no end",
                                        "no\nend",
                                        "\n",
                                        "two ends\n\n",
                                        "\nfirst empty",
                                        "  in\n between\n",
                                        "blank \nat the end \n",
                                        "\ttab\n",
                                        "bell \a\n",
                                        "next line \xc2\x85 and \xe2\x80\xa8 separator\n"};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct buffer yaml = buffer_in(rq->arena);
        Pb__Template template = PB__TEMPLATE__INIT, *read = NULL;
        template.name = "x";
        template.description = texts[i];
        message_to_yaml(rq->arena, &template.base, &yaml);
        assert_int_equal(read_yaml(rq, buffer_text(&yaml), &read), OK);
        assert_string_equal(read->description, texts[i]);
    }
}

/* A new field of the contract must come out and go in without a line of code. */
static void
writes_every_field_of_the_contract(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer yaml = buffer_in(rq->arena);
    Pb__Template template = PB__TEMPLATE__INIT;

    message_to_yaml(rq->arena, &template.base, &yaml);
    for (unsigned i = 0; i < pb__template__descriptor.n_fields; i++)
        assert_non_null(strstr(buffer_text(&yaml), arena_format(rq->arena, "%s:", pb__template__descriptor.fields[i].name)));
}

static void
refuses_what_is_not_a_template_with_its_line(void **state)
{
    static const struct {
        const char *yaml, *says;
    } cases[] = {
        {"", "mapping"},
        {"- a\n", "mapping"},
        {"name\n", "mapping"},
        {"validity_days: 5\n", "no name"},
        {"name: ''\n", "no name"},
        {"name: x\nnonsense: 1\n", "line 2: \"nonsense\""},
        {"name: x\nname: y\n", "line 2: name stands twice"},
        {"name: [x]\n", "line 1: name takes a single value"},
        {"name: {x: y}\n", "line 1: name takes a single value"},
        {"name: x\nkey_types: rsa\n", "line 2: key_types takes a list"},
        {"name: x\nkey_types: [[rsa]]\n", "line 2: key_types takes a single value"},
        {"name: x\nvalidity_days: never\n", "line 2: validity_days is a number"},
        {"name: x\nvalidity_days: -1\n", "line 2: validity_days is a number"},
        {"name: x\nvalidity_days: 2147483648\n", "line 2: validity_days is a number"},
        {"name: x\npath_length: -2\n", "line 2: path_length is a number"},
        {"name: x\nenabled: yes\n", "line 2: enabled is true or false"},
        {"name: x\nname_types: [dns, host]\n", "line 2: name_types has a value"},
        {"name: x\nname_types: [unspecified]\n", "line 2: name_types has a value"},
        {"name: 'x\n", "not YAML"},
        {"name: \"a\\0b\"\n", "line 1: name has a zero octet"},
        {"\"name\\0\": x\n", "is not a field"},
        {"[name]: x\n", "is not a field"},
        {"name: x\n---\nname: y\n", "more than one"},
        {"name: x\n...\n%garbage\n", "not YAML"},
        {"name: *unknown\n", "not YAML"},
        {"name: \xff\n", "not YAML"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__Template *template = NULL;
        assert_int_equal(read_yaml(rq, cases[i].yaml, &template), ERR_BAD_REQUEST);
        assert_null(template);
        if (strstr(rq->failure.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, rq->failure.message);
    }
}

static void
lists_have_a_bound(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer yaml = buffer_in(rq->arena);
    Pb__Template *template = NULL;

    buffer_append_text(&yaml, "name: x\nkey_types: [a");
    for (int i = 1; i < 64; i++)
        buffer_append_text(&yaml, ", a");
    assert_int_equal(read_yaml(rq, arena_format(rq->arena, "%s]\n", buffer_text(&yaml)), &template), OK);
    assert_int_equal(template->n_key_types, 64);
    assert_int_equal(read_yaml(rq, arena_format(rq->arena, "%s, a]\n", buffer_text(&yaml)), &template), ERR_BAD_REQUEST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_given_and_leaves_the_rest_empty), cmocka_unit_test(reads_again_what_it_wrote),
        cmocka_unit_test(texts_of_many_lines_come_back_as_they_were),    cmocka_unit_test(writes_every_field_of_the_contract),
        cmocka_unit_test(refuses_what_is_not_a_template_with_its_line),  cmocka_unit_test(lists_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
