/* Which gateway a verb of `profile` goes to. What the gateways answer is tests/flow. */
#include "unit/kit.h"

#include "base/text.h"
#include "signetctl.h"

static const char *called; /* the last method that was asked for */

/* The bus: nobody answers, but what is asked is known. */
enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    called = method;
    return fail(rq, ERR_UNAVAILABLE, "nobody answers");
}

enum error
bus_open(struct request *rq, const struct bus_options *options, struct bus **ret_bus)
{
    *ret_bus = (struct bus *)&called;
    return OK;
}

static void
add_option(struct ctl *ctl, const char *name, const char *value)
{
    ctl->arguments.options[ctl->arguments.option_count].name = name;
    ctl->arguments.options[ctl->arguments.option_count++].value = value;
}

/* The command table's entry of this verb. */
static enum error
run_with(struct request *rq, const char *verb, const char *kind, const char *option)
{
    struct ctl ctl = {.config = {.nats_url = "nats://nowhere"}, .arguments = {.words = {"name"}, .word_count = 1}};

    if (kind != NULL)
        add_option(&ctl, "kind", kind);
    if (option != NULL)
        add_option(&ctl, option, "true");

    called = NULL;
    for (size_t i = 0; i < command_count; i++)
        if (text_equal(commands[i].group, "profile") && text_equal(commands[i].verb, verb)) {
            ctl.command = &commands[i];
            return commands[i].run(&ctl, rq);
        }
    fail_msg("there is no command profile %s", verb);
    return ERR_INTERNAL;
}

static enum error
run(struct request *rq, const char *verb, const char *kind)
{
    return run_with(rq, verb, kind, NULL);
}

static void
each_verb_goes_to_the_gateway_of_its_kind(void **state)
{
    static const struct {
        const char *kind, *verb, *method, *option;
    } cases[] = {
        {"est", "list", "ListEstProfiles"},
        {"est", "show", "ListEstProfiles"},
        {"est", "export", "ListEstProfiles"},
        {"est", "create", "StoreEstProfile"},
        {"est", "set", "ListEstProfiles"},
        {"est", "delete", "DeleteEstProfile"},
        {"est", "reset-password", "ResetEstPassword", "user"},
        {"est", "delete-user", "DeleteEstUser", "user"},
        {"scep", "list", "ListScepProfiles"},
        {"scep", "show", "ListScepProfiles"},
        {"scep", "export", "ListScepProfiles"},
        {"scep", "create", "SaveScepProfile"},
        {"scep", "set", "ListScepProfiles"},
        {"scep", "delete", "DeleteScepProfile"},
        {"scep", "reset-password", "RotateScepSecret"},
        {"scep", "rotate-passphrase", "RotateScepSecret"},
        {NULL, "rotate-passphrase", "RotateScepSecret"},
        {NULL, "delete-user", "DeleteEstUser", "user"},
        {NULL, "list", "ListEstProfiles"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_equal(run_with(rq, cases[i].verb, cases[i].kind, cases[i].option), ERR_UNAVAILABLE);
        assert_non_null(called);
        assert_string_equal(called, cases[i].method);
    }
}

static void
refuses_a_verb_that_the_kind_does_not_have_or_that_lacks_its_user(void **state)
{
    static const struct {
        const char *kind, *verb, *says;
    } cases[] = {
        {"est", "rotate-passphrase", "a profile of the kind est has no \"rotate-passphrase\""},
        {"scep", "delete-user", "a profile of the kind scep has no \"delete-user\""},
        {NULL, "create", "--kind says which gateway: est, scep"},
        {"cmp", "list", "--kind says which gateway: est, scep"},
        {"est", "reset-password", "--user says whose"},
        {"est", "delete-user", "--user says whose"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_equal(run(rq, cases[i].verb, cases[i].kind), ERR_BAD_REQUEST);
        assert_string_equal(rq->failure.message, cases[i].says);
        assert_null(called);
    }
}

static void
refuses_an_option_that_only_another_kind_has(void **state)
{
    static const struct {
        const char *kind, *option, *says;
    } cases[] = {
        {"scep", "crl", "--crl: a profile of the kind scep has no such field"},
        {"scep", "proof-required", "--proof-required: a profile of the kind scep has no such field"},
        {"est", "legacy", "--legacy: a profile of the kind est has no such field"},
        {"est", "disabled", "nobody answers"},
        {"scep", "disabled", "nobody answers"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_not_equal(run_with(rq, "create", cases[i].kind, cases[i].option), OK);
        assert_string_equal(rq->failure.message, cases[i].says);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_goes_to_the_gateway_of_its_kind),
        cmocka_unit_test(refuses_a_verb_that_the_kind_does_not_have_or_that_lacks_its_user),
        cmocka_unit_test(refuses_an_option_that_only_another_kind_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
