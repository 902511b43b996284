/* What is kept as YAML: shown and read again. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "said.h"
#include "signetctl.h"

/* A file with this text, its name in *ret_path; the caller unlinks it. */
static void
put_file(struct arena *arena, const char *text, const char **ret_path)
{
    char *path = arena_text(arena, "/tmp/signet-yaml-XXXXXX");
    int file = mkstemp(path);

    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(close(file), 0);
    *ret_path = path;
}

/* yaml_import of a file with this text. */
static enum error
import(struct request *rq, const char *text, size_t most, ProtobufCMessage *message)
{
    struct ctl ctl = {.arguments = {.word_count = 1}};

    put_file(rq->arena, text, &ctl.arguments.words[0]);
    enum error error = yaml_import(&ctl, rq, most, "a template", message);
    assert_int_equal(unlink(ctl.arguments.words[0]), 0);
    return error;
}

static void
what_is_shown_can_be_imported(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl = {.json = false};
    Pb__Template template = PB__TEMPLATE__INIT, again = PB__TEMPLATE__INIT;
    struct said said;

    template.name = "Web: \"Server\"";
    template.validity_days = 90;
    said_begin(&said);
    enum error error = yaml_show(&ctl, rq, NULL, &template.base);
    const char *yaml = said_end(&said, rq->arena);
    assert_int_equal(error, OK);
    assert_int_equal(import(rq, yaml, strlen(yaml), &again.base), OK);
    assert_string_equal(again.name, template.name);
    assert_int_equal(again.validity_days, 90);
}

static void
a_program_gets_what_is_stored_as_json(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl = {.json = true};
    Pb__Name stored = PB__NAME__INIT;
    struct said said;

    stored.value = "a.test";
    said_begin(&said);
    enum error error = yaml_show(&ctl, rq, &stored.base, NULL);
    const char *text = said_end(&said, rq->arena);
    assert_int_equal(error, OK);
    assert_non_null(strstr(text, "\"value\": \"a.test\""));
}

static void
refuses_files_that_are_no_such_yaml(void **state)
{
    static const struct {
        const char *text;
        size_t most;
        enum error error;
        const char *says;
    } cases[] = {
        {"name: a\n", 7, ERR_TOO_LARGE, "more than 7 octets"},
        {"name: [\n", 100, ERR_BAD_REQUEST, "not YAML"},
        {"", 100, ERR_BAD_REQUEST, "a template"},
        {"# nothing\n", 100, ERR_BAD_REQUEST, "a template"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__Template template = PB__TEMPLATE__INIT;
        assert_int_equal(import(rq, cases[i].text, cases[i].most, &template.base), cases[i].error);
        if (strstr(rq->failure.message, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", rq->failure.message, cases[i].says);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_shown_can_be_imported),
        cmocka_unit_test(a_program_gets_what_is_stored_as_json),
        cmocka_unit_test(refuses_files_that_are_no_such_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
